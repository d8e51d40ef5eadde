"""Runs the commands of the README's quick start word for word, so that they cannot rot."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def quick_start() -> list[str]:
    """Return the commands of the first bash block under the heading "Quick start"."""
    text = README.read_text(encoding="utf-8")
    found = re.search(r"^#+ .*quick start.*?^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    if found is None:
        sys.exit("README.md has no bash block under a heading 'Quick start'")
    lines = (line.strip() for line in found[1].splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def main() -> None:
    """List the commands, or run those that a word picks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--run", choices=("job", "test", "all"))
    options = parser.parse_args()
    commands = quick_start()
    if len(commands) != 2:
        sys.exit(f"the quick start promises two commands and has {len(commands)}")
    if options.list:
        print("\n".join(commands))
    chosen = {"job": commands[:1], "test": commands[1:], "all": commands, None: []}[options.run]
    for command in chosen:
        print(f"$ {command}", flush=True)
        subprocess.run(["bash", "-c", command], check=True, cwd=README.parent)


if __name__ == "__main__":
    main()
