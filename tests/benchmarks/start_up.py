"""How long a command that measures nothing keeps its user waiting."""

import statistics

from commands import empty_folder, run

COMMANDS = {
    "an empty Python program": ["-c", "pass"],
    "`import hydra`": ["-c", "import hydra"],
    "`python -m sweep --help`": ["-m", "sweep", "--help"],
    "`python -m sweep --cfg job`": ["-m", "sweep", "--cfg", "job"],
    "`python -m sweep doctor`": ["-m", "sweep", "doctor"],
}


def measure(rounds):
    """Run each command in turn, `rounds` times after one uncounted; return the table's lines."""
    seconds = {name: [] for name in COMMANDS}
    with empty_folder() as folder:
        for number in range(rounds + 1):
            for name, arguments in COMMANDS.items():
                wall_s, _ = run(arguments, folder)
                if number:
                    seconds[name].append(wall_s)
    reference = statistics.median(seconds["`import hydra`"])
    lines = ["| command | s | of `import hydra` |", "|---|---|---|"]
    for name, walls in seconds.items():
        median_s = statistics.median(walls)
        lines.append(f"| {name} | {median_s:.2f} ({min(walls):.2f} to {max(walls):.2f}) | {median_s / reference:.2f} |")
    return lines
