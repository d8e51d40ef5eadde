"""MLPerf submissions: made from stored trials, checked, and read."""
