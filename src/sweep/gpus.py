"""The NVIDIA GPUs of this machine, as its driver names them; read without starting CUDA."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable with which a user, a scheduler or a container says which GPUs a process may use."""

_FIELDS = ("index", "uuid", "name", "driver_version", "memory.total", "compute_cap")
_SETTINGS = ("power.limit", "ecc.mode.current", "mig.mode.current", "persistence_mode")
_OLD_FIELDS = _FIELDS[:-1]
"""What every driver knows: one that does not know a field answers with nothing else either."""

OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
"""Major version of CUDA to the oldest driver, by its first number, that runs it (NVIDIA, CUDA Compatibility, table of
minor version compatibility)."""

FOR_CUDA_12 = (
    "pip install 'onnxruntime-gpu[cuda,cudnn]<1.27' 'cuda-python<13', "
    "then pip install --force-reinstall --no-deps 'onnxruntime-gpu<1.27'"
)
"""The newest packages of ONNX Runtime that are built for CUDA 12 (their requirements name its libraries)."""

_ON = "Enabled"
_TIMEOUT_S = 30
"""Without persistence mode a driver starts each GPU for the question, which takes seconds where there are eight."""

_CARD = re.compile(r"^GPU (\d+): .*\(UUID: ([^)]+)\)")
_INSTANCE = re.compile(r"^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")


@dataclass(frozen=True)
class Gpu:
    """One GPU, or an instance of one in MIG mode. What the driver does not report is empty.

    Attributes:
        index: Its number: in the order of the PCI bus, or as `visible_gpus` counts.
        uuid: Its own identity (`GPU-...` or `MIG-...`), which CUDA_VISIBLE_DEVICES takes.
        name: Product name; of an instance with its profile (`NVIDIA H100 80GB HBM3 MIG 1g.10gb`).
        driver: Version of the driver.
        memory: Of the whole card, with its unit.
        compute_capability: `9.0`.
        power_limit: What the card may draw, with its unit; an administrator can lower it.
        ecc: Whether its memory corrects errors: `Enabled` or `Disabled`.
        mig: Whether the card is divided into instances, likewise.
        persistence: Whether the driver stays loaded without a user, likewise.
    """

    index: int
    uuid: str
    name: str
    driver: str
    memory: str
    compute_capability: str
    power_limit: str = ""
    ecc: str = ""
    mig: str = ""
    persistence: str = ""

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name})"


Capability = tuple[int, int]


@dataclass(frozen=True)
class Support:
    """The GPUs that a package runs on, from one of its versions to the next row of the same package.

    Attributes:
        package: `cuda` is whatever was built for that version of CUDA.
        since: The first version.
        spans: Compute capabilities, first and last; None where newer ones are expected to run as well.
    """

    package: str
    since: tuple[int, int]
    spans: tuple[tuple[Capability, Capability | None], ...]

    def has(self, capability: Capability) -> bool:
        """Say whether GPUs of a compute capability are among them."""
        return any(first <= capability and (last is None or capability <= last) for first, last in self.spans)


SUPPORT = (
    *(
        Support(package, since, spans)
        for package in ("tensorrt", "tensorrt_lean")
        for since, spans in (
            ((0, 0), (((0, 0), (9, 0)),)),
            ((10, 5), (((7, 5), (9, 0)),)),
            ((10, 8), (((7, 5), None),)),
        )
    ),
    Support(
        "tensorrt_rtx", (0, 0), (*(((k, n), (k, n)) for k, n in ((7, 5), (8, 0), (8, 6), (8, 9))), ((12, 0), None))
    ),
    Support("cuda", (13, 0), (((7, 5), None),)),
)
"""NVIDIA's support matrices. TensorRT 10.5 dropped Volta and Pascal («Target GPU SM 61 is not supported»), 10.8 brought
Blackwell; TensorRT for RTX names those for which it compiles and, when it refuses a GPU, all but Turing, which needs an
engine of its own and has one here; CUDA 13 begins with Turing."""


NEWEST = "999.0"
"""A version behind all rows of `SUPPORT`: what is installed next."""


def unsupported(gpu: Gpu, package: str, version: str = "", cuda: int = 0) -> tuple[str, str]:
    """Return why a package does not run on a GPU, and what to install instead; two empty words where it may.

    Args:
        gpu: The GPU; one whose compute capability is not known may run everything.
        package: A name in `SUPPORT`, or of any other package.
        version: Its version; empty where it is not known, so that any might be meant.
        cuda: Major version of CUDA that it was built for; 0 where that is not known.
    """
    match = re.fullmatch(r"(\d+)\.(\d+)", gpu.compute_capability)
    if match is None:
        return "", ""
    capability, what = (int(match[1]), int(match[2])), f"{gpu.name}, of compute capability {gpu.compute_capability}"
    rows = [row for row in SUPPORT if row.package == package]
    able = [row for row in rows if row.has(capability)]
    known = re.match(r"(\d+)\.(\d+)", version)
    held = [row for row in rows if known and row.since <= (int(known[1]), int(known[2]))][-1:] or able
    if rows and not (able and held[0] in able):
        later = [row for row in able if row.since > held[0].since] if held else []
        if later:
            least = ".".join(map(str, later[0].since))
            build = f"{package}-cu{cuda}" if cuda else package  # the plain one may be for another CUDA by now
            return f"{package} {version} does not support {what}", f"pip install --upgrade '{build}>={least}'"
        return f"{package} does not support {what}", ""
    if any(row.package == "cuda" and row.since <= (cuda, 0) and not row.has(capability) for row in SUPPORT):
        return f"{package} of CUDA {cuda} does not support {what}", f"use packages for CUDA 12: {FOR_CUDA_12}"
    return "", ""


@functools.cache
def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that the driver shows, in the order of their index; none without a driver.

    A card in MIG mode is one of them; its instances are among `visible_gpus`.
    """
    for fields in ((*_FIELDS, *_SETTINGS), _FIELDS, _OLD_FIELDS):
        answer = _ask(f"--query-gpu={','.join(fields)}", "--format=csv,noheader")
        rows = [[part.strip() for part in line.split(",")] for line in answer.splitlines() if line.strip()]
        if rows and all(len(row) == len(fields) and row[0].isdecimal() for row in rows):
            return tuple(_gpu(dict(zip(fields, row, strict=True))) for row in rows)
    return ()


def visible_gpus(visible: str | None = None) -> tuple[Gpu, ...]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves, with their place among these as index.

    It is read as CUDA reads it with CUDA_DEVICE_ORDER=PCI_BUS_ID: a list of indices, in the order of the PCI bus, and
    of identities, which may be cut short where they stay unambiguous; whatever comes after the first entry that names
    nothing, or what was named before, does not count. Of a card in MIG mode its instances can be used: all of them
    where there are no limits, the one that is named, or the first where the card is.

    Args:
        visible: The variable's value; None where it is not set, so that there are no limits.
    """
    cards = gpus()
    found = [part for card in cards for part in _parts(card)] if visible is None else _named(cards, visible.split(","))
    return tuple(replace(gpu, index=place) for place, gpu in enumerate(found))


def usable_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that this process may use, numbered as the key `device` numbers them."""
    return visible_gpus(os.environ.get(VISIBLE))


def driver_major(driver: str) -> int | None:
    """Return the first number of a driver's version; None where it has none."""
    head = driver.partition(".")[0]
    return int(head) if head.isdecimal() else None


def outdated(driver: str, what: str, cuda: int) -> str:
    """Return that a driver is too old for what was built for a major version of CUDA; empty where it may do."""
    needed = OLDEST_DRIVER.get(cuda, 0)
    if (driver_major(driver) or needed) >= needed:
        return ""
    return f"driver {driver} is too old for {what}, which needs {needed} or newer"


def _ask(*arguments: str) -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _gpu(values: dict[str, str]) -> Gpu:
    # What it does not know is `[N/A]`, `[Not Supported]`, `[Unknown Error]`, ...
    known = {key: "" if value.startswith(("[", "N/A")) else value for key, value in values.items()}
    capability = known.get("compute_cap", "")
    return Gpu(
        int(values["index"]),
        values["uuid"],
        values["name"],
        values["driver_version"],
        values["memory.total"],
        capability if capability[:1].isdigit() else "",
        *(known.get(key, "") for key in _SETTINGS),
    )


def _named(cards: Sequence[Gpu], entries: Sequence[str]) -> list[Gpu]:
    found: list[Gpu] = []
    for entry in (entry.strip() for entry in entries):
        named = next(iter(_candidates(cards, entry)), None)
        if named is None or named in found:
            break
        found.append(named)
    return found


def _candidates(cards: Sequence[Gpu], entry: str) -> list[Gpu]:
    """Return what an entry names, at most one."""
    if entry.isdecimal():
        return [part for card in cards if card.index == int(entry) for part in _parts(card)[:1]]
    # A card in MIG mode comes before its instances, and stands for the first.
    parts = [(gpu, _parts(card)[:1] if gpu is card else [gpu]) for card in cards for gpu in (card, *_parts(card))]
    alike = {gpu.uuid: used for gpu, used in parts if entry and gpu.uuid.startswith(entry)}
    return alike[entry] if entry in alike else next(iter(alike.values())) if len(alike) == 1 else []


def _parts(card: Gpu) -> list[Gpu]:
    """Return the instances of a card in MIG mode; of any other, the card."""
    return [card] if card.mig != _ON else list(_instances(card))


def _instances(card: Gpu) -> Iterator[Gpu]:
    inside = False
    for line in _list().splitlines():
        if (head := _CARD.match(line)) is not None:
            inside = head[2] == card.uuid
        elif inside and (part := _INSTANCE.match(line)) is not None:
            yield replace(card, uuid=part[2], name=f"{card.name} MIG {part[1]}")


@functools.cache
def _list() -> str:
    return _ask("-L")
