"""The small YAML in which a user says, once, what no program can know of systems and models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.errors import ConfigError, Problem, choose
from sweep.submission.machine import NOT_STATED, system_fields
from sweep.submission.rounds import MEASUREMENT_FIELDS, ROUNDS, STATUSES, SYSTEM_TYPES

if TYPE_CHECKING:
    import yaml

ENVIRONMENT, BACKEND, BENCHMARK = "environment", "backend", "benchmark"
ENVIRONMENT_DIGITS = 6
"""How much of an environment's digest tells it from others, as in the names of trials' folders."""

SYSTEM_FILE = "submission.yaml"
"""Its usual name."""

_TOP = ("submitter", "systems", "models")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NAME_MAX = 100
_SIZE_MAX = 1 << 20
_DIGEST = re.compile(rf"[0-9a-f]{{{ENVIRONMENT_DIGITS},64}}")
_CHOICES = {"status": STATUSES, "system_type": SYSTEM_TYPES}
_COUNTS = ("number_of_nodes", "host_processors_per_node", "accelerators_per_node")
"""Fields that others calculate with."""
_NAME_RULE = "names of files hold ASCII letters, digits, '.', '_' and '-', and begin with a letter, digit or '_'"


@dataclass(frozen=True)
class SystemEntry:
    """What the user says of one system.

    Attributes:
        name: Of its files and folders.
        environment: How the digest of its tests' environment begins.
        backend: The engine of its tests.
        fields: What is said of it.
    """

    name: str
    environment: str
    backend: str
    fields: Mapping[str, str]

    def is_of(self, environment_digest: str, backend: str) -> bool:
        """Return whether a test was run on it."""
        return backend == self.backend and environment_digest.startswith(self.environment)


@dataclass(frozen=True)
class ModelEntry:
    """What the user says of one model.

    Attributes:
        benchmark: Which benchmark it stands for in `open`; empty where that is not said.
        measurements: Fields of its measurements files.
    """

    benchmark: str = ""
    measurements: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SystemFile:
    """What the user says.

    Attributes:
        submitter: Empty where it is not said.
        systems: In the file's order.
        models: By name.
        origin: The file, for messages; empty without one.
    """

    submitter: str = ""
    systems: tuple[SystemEntry, ...] = ()
    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    origin: str = ""


def name_problem(key: str, name: str) -> Problem | None:
    """Return what is wrong with a name that files and folders of a submission get; None for nothing.

    Args:
        key: Where it was given.
        name: The name.
    """
    if _NAME.fullmatch(name) and len(name) <= _NAME_MAX:
        return None
    reason = "is no name for files" if len(name) <= _NAME_MAX else f"has more than {_NAME_MAX} characters"
    return Problem(key, name, reason, _NAME_RULE)


def read_system_file(path: Path) -> SystemFile:
    """Read what a user has filled in.

    Raises:
        ConfigError: It cannot be read, is no YAML, or says something that no submission says; every problem is in it.
    """
    reading = _Reading(path)
    file = reading.file(_root(path))
    if reading.problems:
        raise ConfigError(reading.problems)
    return file


def _root(path: Path) -> yaml.Node | None:
    """Return the file as nodes, whose scalars are as they were typed: `no` and `8` are text here."""
    import yaml

    fix = "python -m sweep submission init writes one to fill in"
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(Problem("--system-file", str(path), "is no file", fix))
        if path.stat().st_size > _SIZE_MAX:
            raise ConfigError(Problem("--system-file", str(path), f"has more than {_SIZE_MAX} bytes", fix))
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise ConfigError(Problem("--system-file", str(path), "does not exist", fix)) from error
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise ConfigError(Problem("--system-file", str(path), reason, fix)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(Problem("--system-file", str(path), "is no text in UTF-8", fix)) from error
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" from line {mark.line + 1} on" if mark is not None else ""
        raise ConfigError(
            Problem("--system-file", str(path), f"is no YAML{where}", "mend it, or begin anew")
        ) from error


class _Reading:
    """Reads the nodes of one file; problems pile up."""

    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self._path = path

    def file(self, root: yaml.Node | None) -> SystemFile:
        top = dict(self._pairs("", root, _TOP))
        submitter = self._text("submitter", top["submitter"]) if "submitter" in top else ""
        if submitter in ("", NOT_STATED):
            submitter = ""
        else:
            self._check_name("submitter", submitter)
        systems = [self._system(name, node) for name, node in self._pairs("systems", top.get("systems"))]
        self._check_systems(systems)
        models = {name: self._model(name, node) for name, node in self._pairs("models", top.get("models"))}
        return SystemFile(submitter, tuple(systems), models, str(self._path))

    def _system(self, name: str, node: yaml.Node) -> SystemEntry:
        key = f"systems.{name}"
        self._check_name("systems", name)
        known = (ENVIRONMENT, BACKEND, *system_fields())
        texts = {field: self._text(f"{key}.{field}", value) for field, value in self._pairs(key, node, known)}
        environment, backend = texts.pop(ENVIRONMENT, ""), texts.pop(BACKEND, "")
        several = environment.replace(",", " ").split()
        if len(several) > 1 and all(map(_DIGEST.fullmatch, several)):
            reason = f"names {len(several)} environments ({', '.join(several)}), and a system is one"
            self._blame(f"{key}.{ENVIRONMENT}", None, reason, "give each an entry of its own")
        elif not _DIGEST.fullmatch(environment):
            fix = f"give {ENVIRONMENT_DIGITS} or more of the digits in which names of trials' folders end, as init does"
            self._blame(f"{key}.{ENVIRONMENT}", environment, "tells no environment", fix)
        if not backend:
            self._blame(f"{key}.{BACKEND}", None, "must be given", "name the engine, as in backend=onnxruntime")
        for field_name, choices in _CHOICES.items():
            if (value := texts.get(field_name, "")) and value not in choices:
                self._blame(f"{key}.{field_name}", value, "unknown", choose(value, choices))
        for field_name in _COUNTS:
            if (value := texts.get(field_name, NOT_STATED)) not in ("", NOT_STATED) and not value.isdecimal():
                self._blame(f"{key}.{field_name}", value, "is no whole number", 'such as "1"')
        return SystemEntry(name, environment, backend, texts)

    def _check_systems(self, systems: list[SystemEntry]) -> None:
        names: dict[str, str] = {}
        for number, one in enumerate(systems):
            if (other := names.setdefault(one.name.lower(), one.name)) != one.name:
                self._blame(f"systems.{one.name}", None, f"differs from {other} by capitals alone", "rename one")
            for before in systems[:number]:
                same = one.environment.startswith(before.environment) or before.environment.startswith(one.environment)
                if before.backend == one.backend and before.environment and one.environment and same:
                    reason = f"is the environment of systems.{before.name} too, with the same backend"
                    self._blame(f"systems.{one.name}.{ENVIRONMENT}", one.environment, reason, "remove one of them")

    def _model(self, name: str, node: yaml.Node) -> ModelEntry:
        key = f"models.{name}"
        pairs = self._pairs(key, node, (BENCHMARK, *MEASUREMENT_FIELDS))
        texts = {field: self._text(f"{key}.{field}", value) for field, value in pairs}
        benchmark = texts.pop(BENCHMARK, "")
        known = dict.fromkeys(one for rules in ROUNDS.values() for one in rules.benchmarks)
        if benchmark == NOT_STATED:
            benchmark = ""
        if benchmark and benchmark not in known:
            self._blame(f"{key}.{BENCHMARK}", benchmark, "unknown", choose(benchmark, known))
        return ModelEntry(benchmark, texts)

    def _pairs(
        self, key: str, node: yaml.Node | None, known: tuple[str, ...] | None = None
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Yield the keys and values of a mapping, each key once; nothing for what is empty."""
        import yaml

        if node is None or (isinstance(node, yaml.ScalarNode) and node.value == ""):
            return
        if not isinstance(node, yaml.MappingNode):
            self._blame(key, None, "must hold keys and values", "KEY: VALUE, a line each")
            return
        seen: set[str] = set()
        for name_node, value in node.value:
            name = name_node.value if isinstance(name_node, yaml.ScalarNode) else ""
            whole = f"{key}.{name}" if key else name
            if not isinstance(name_node, yaml.ScalarNode):
                self._blame(key, None, "has a key that is no text", "KEY: VALUE, a line each")
            elif name in seen:
                self._blame(whole, None, "is given twice", "keep one of them")
            elif known is not None and name not in known:
                self._blame(whole, None, "unknown", choose(name, known))
            else:
                seen.add(name)
                yield name, value

    def _text(self, key: str, node: yaml.Node) -> str:
        import yaml

        if isinstance(node, yaml.ScalarNode):
            return "" if node.tag == "tag:yaml.org,2002:null" else str(node.value).strip()
        self._blame(key, None, "must be a text", "write it behind the colon, in quotes if it holds a colon itself")
        return ""

    def _check_name(self, key: str, name: str) -> None:
        if (problem := name_problem(key, name)) is not None:
            self._blame(key, problem.value, problem.reason, problem.fix)

    def _blame(self, key: str, value: object, reason: str, fix: str) -> None:
        field_name = f"{self._path}: {key}" if key else str(self._path)
        self.problems.append(Problem(field_name, value, reason, fix))
