"""`python -m sweep --help`: the text of conf/config.yaml with the choices of each group.

Hydra's own `--help` puts the same text together, in a second: it copies its configuration once per group.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweep.config.files import choices, config_dirs, groups, load_file
from sweep.paths import conf_dir

_GROUPS = "$APP_CONFIG_GROUPS"
_FLAGS = ("--help", "-h")
_OTHER_CONFIG = ("--config-name", "-cn", "--config-path", "-cp")


def wanted(arguments: Sequence[str]) -> bool:
    """Whether help is asked for, of sweep's own configuration; a user's own has its own, which Hydra shows."""
    names = {argument.partition("=")[0] for argument in arguments}
    return not names.isdisjoint(_FLAGS) and names.isdisjoint(_OTHER_CONFIG)


def main(arguments: Sequence[str]) -> int:
    """Print the help text; return 0. Choices in `--config-dir` are listed with sweep's own."""
    text: str = load_file(conf_dir() / "config.yaml")["hydra"]["help"]["template"]
    for line in text.splitlines():
        if line.strip() != _GROUPS:
            print(line)
            continue
        indent = line[: line.index(_GROUPS)]
        for group, names in _choices([conf_dir(), *config_dirs(arguments)]).items():
            print(f"{indent}{group + ':':<9} {', '.join(sorted(names))}")
    return 0


def _choices(folders: Sequence[Path]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for folder in folders:
        for group in groups(folder):
            found.setdefault(group, set()).update(choices(group, folder))
    return found
