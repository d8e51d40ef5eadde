"""`python -m sweep submission init|export|check`: from results to a submission."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from sweep.errors import ConfigError, Problem, choose

_COMMANDS = {
    "init": "sweep.commands.submission_init",
    "export": "sweep.commands.submission_export",
    "check": "sweep.commands.submission_check",
}
"""Each with a module that has `main(arguments) -> exit code`."""

_HELP = """\
usage: sweep submission COMMAND ...

Make MLPerf submissions of stored results.

commands:
  init     write a small file in which you say, once, what no test can know
  export   write the tree of a round, from the best VALID official tests
  check    hold a tree against the rules of its round

python -m sweep submission COMMAND --help says more; docs/submission.md is the guide."""


def main(arguments: Sequence[str]) -> int:
    """Run one of the commands; return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_HELP)
        return 0
    command, *rest = arguments
    if command not in _COMMANDS:
        raise ConfigError(Problem("submission", command, "unknown command", choose(command, _COMMANDS)))
    code: int = importlib.import_module(_COMMANDS[command]).main(rest)
    return code
