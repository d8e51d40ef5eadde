"""Results of other tools, brought into the store as trials that say where they come from."""
