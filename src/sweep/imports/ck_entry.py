"""Entries of CK's `experiment` module as they lie in a folder or zip: which files are one entry, what its name says.

An entry is a folder with a file `ckp-<uid>.<NNNN>.json` for each of its points, `pipeline.json` for all of them and
CK's own notes in `.cm/`. Beside a point lie extracts of it (`.features.json`, `.flat.json`, ...).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sweep.imports.ck_json import RefusedError, load_object, mapping, plain, whole, word
from sweep.imports.tree import Tree, UnreadableError

PIPELINE = "pipeline.json"
_META, _INFO = ".cm/meta.json", ".cm/info.json"
_POINT = re.compile(r"ckp-([0-9A-Za-z_-]{1,64})\.(\d{1,6})\.json")
_EXTRACT = re.compile(r"ckp-([0-9A-Za-z_-]{1,64})\.(?:[0-9a-z]+\.cache|deps|desc|features|features_flat|flat)\.json")
_SCENARIOS = ("singlestream", "multistream", "multistreamfree", "server", "offline")
_MODES = ("performance", "accuracy", "audit", "submission")
_DIVISIONS = ("closed", "open")


@dataclass(frozen=True)
class Named:
    """What the name of an entry says, `mlperf.<division>.<task>.<platform>.<library>.<benchmark>.<scenario>.<mode>`.

    What it does not say is empty.

    Attributes:
        division: `closed` or `open`.
        task: `image-classification`.
        platform: Short name of the system: `xavier`.
        library: That computed it, and what it computed with: `tensorrt`, `armnn-v19.08.neon`.
        library_version: Where it is told apart from the library.
        benchmark: `resnet50`.
        scenario: As it is written there: `multistream`.
        mode: `performance`, `accuracy`, ...
        rest: What follows: `TEST01` of a compliance test.
    """

    division: str = ""
    task: str = ""
    platform: str = ""
    library: str = ""
    library_version: str = ""
    benchmark: str = ""
    scenario: str = ""
    mode: str = ""
    rest: str = ""


@dataclass(frozen=True)
class PointFile:
    """A file with a point.

    Attributes:
        path: In the tree.
        uid: CK's name for the point.
        number: Of the file among those of the point: 1, 2, ...
    """

    path: str
    uid: str
    number: int


@dataclass(frozen=True)
class Entry:
    """An entry, without its points' content.

    Attributes:
        name: Its alias, or the name of its folder.
        folder: In the tree; empty for the tree itself.
        points: Its points, by file name.
        named: What its name or, where that says nothing, its tags say.
        pipeline: What `pipeline.json` says; empty where it is gone.
        pipeline_bytes: That file as it is; None likewise.
        recorded_at: When CK wrote the entry, ISO 8601; empty where it does not say.
        notes: What is missing in it, or odd, though its points can be imported; a line each.
        problems: What cannot be imported, and why; a line each.
    """

    name: str
    folder: str
    points: tuple[PointFile, ...]
    named: Named
    pipeline: Mapping[str, Any] = field(default_factory=dict)
    pipeline_bytes: bytes | None = None
    recorded_at: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def entries_of(tree: Tree) -> Iterator[Entry]:
    """Yield the entries of a tree, by folder. Points that are links are problems of the entry they lie in."""
    folders: dict[str, list[str]] = {}
    for path in (*tree.paths, *tree.links):
        folder, _, name = path.rpartition("/")
        if name.startswith("ckp-") or name == PIPELINE:
            folders.setdefault(folder, []).append(name)
        elif folder.rpartition("/")[2] == ".cm" and name in ("meta.json", "info.json"):
            above = folder.rpartition("/")[0]
            if (above.rpartition("/")[2] or tree.name).startswith("mlperf."):
                folders.setdefault(above, [])
    for folder in sorted(folders):
        yield _entry(tree, folder, sorted(set(folders[folder])))


def _entry(tree: Tree, folder: str, names: list[str]) -> Entry:
    reader = _Reader(tree, f"{folder}/" if folder else "")
    info, meta = reader.object(_INFO), reader.object(_META)
    folder_name = folder.rpartition("/")[2] or tree.name
    name = word(info, "data_name") or plain(folder_name)
    if name != plain(folder_name) and plain(folder_name).startswith("mlperf."):
        name = plain(folder_name)  # it was renamed
    pipeline = reader.object(PIPELINE)
    if pipeline is None:
        reader.notes.append(f"{name}: has no {PIPELINE} that can be read: program and model are known in part only")
    points: list[PointFile] = []
    problems: list[str] = []
    links = set(tree.links)
    for file in names:
        if match := _POINT.fullmatch(file):
            point = PointFile(f"{reader.prefix}{file}", match[1], int(match[2]))
            if point.path in links:
                problems.append(f"{name}: {file}: is a link or no plain file, which is not followed")
            else:
                points.append(point)
        elif file != PIPELINE and not _EXTRACT.fullmatch(file):
            reader.notes.append(f"{name}: {plain(file)}: is no point of CK's, and is passed over")
    problems += _missing(reader, name, names, points)
    if not points and not problems:
        problems.append(f"{name}: has no point (ckp-<uid>.0001.json)")
    told = whole(word(meta, "points"))
    if points and told is not None and told > (found := len({point.uid for point in points})):
        reader.notes.append(f"{name}: {_META} counts {told} points, {found} of them are here")
    recorded_at = word(info, "control", "iso_datetime") or word(meta, "added", "iso_datetime")
    return Entry(
        name=name,
        folder=folder,
        points=tuple(points),
        named=named_by(name, mapping(meta).get("tags")),
        pipeline=pipeline or {},
        pipeline_bytes=reader.found.get(PIPELINE),
        recorded_at=recorded_at,
        notes=tuple(reader.notes),
        problems=tuple(problems),
    )


class _Reader:
    """Reads the small files of an entry; what is wrong with them is noted."""

    def __init__(self, tree: Tree, prefix: str) -> None:
        self.tree = tree
        self.prefix = prefix
        self.notes: list[str] = []
        self.found: dict[str, bytes] = {}
        self._paths = set(tree.paths)

    def has(self, name: str) -> bool:
        return self.prefix + name in self._paths

    def object(self, name: str) -> Mapping[str, Any] | None:
        """Return what a file says; None where it is not there or says nothing."""
        path = self.prefix + name
        if path not in self._paths:
            return None
        try:
            data = self.tree.read(path)
            found = load_object(data)
        except (UnreadableError, RefusedError) as error:
            self.notes.append(f"{plain(path)}: {error}")
            return None
        self.found[name] = data
        return found


def _missing(reader: _Reader, name: str, names: list[str], points: list[PointFile]) -> Iterator[str]:
    """Yield points of which something is left, and the point itself is not."""
    here = {point.uid: {one.number for one in points if one.uid == point.uid} for point in points}
    linked = {match[1] for file in names if (match := _POINT.fullmatch(file))} - here.keys()
    for uid in sorted({match[1] for file in names if (match := _EXTRACT.fullmatch(file))} - linked):
        if uid not in here:
            yield f"{name}: ckp-{uid}.0001.json: is missing; extracts of it are here"
            continue
        features = reader.object(f"ckp-{uid}.features.json") if reader.has(f"ckp-{uid}.features.json") else None
        told = whole(word(features, "sub_points")) or 0
        for number in range(1, min(told, max(here[uid]) + 100) + 1):
            if number not in here[uid]:
                yield f"{name}: ckp-{uid}.{number:04d}.json: is missing; its entry counts {told} such files"


def named_by(name: str, tags: Any = None) -> Named:
    """Return what the name of an entry says, or its tags where it is named otherwise.

    Args:
        name: The entry's; versions in it have dots of their own: `tflite-v2.2.0`, `mobilenet-v1-0.25-128`.
        tags: Those of its `meta.json`, some of them `attribute.value`.
    """
    found = _by_name(name)
    given = tags.split(",") if isinstance(tags, str) else tags
    words = [tag.strip() for tag in given if isinstance(tag, str)] if isinstance(given, list) else []
    told = dict(tag.split(".", 1) for tag in words if "." in tag)
    if found is None and "mlperf" in words:  # tags in the order of a name, before attributes had names
        found = _by_name(".".join(tag for tag in words if "." not in tag or tag.partition(".")[0] not in _ATTRIBUTES))
    known = found or Named()
    library = "-".join(
        filter(None, (told.get("inference_engine"), _unless_dummy(told.get("inference_engine_backend", ""))))
    )
    return Named(
        division=known.division or plain(told.get("division", "")),
        task=known.task or plain(told.get("task", "")),
        platform=known.platform or plain(told.get("platform", "")),
        library=known.library or plain(library),
        library_version=known.library_version or plain(told.get("inference_engine_version", "")),
        benchmark=known.benchmark or plain(told.get("workload", "")),
        scenario=known.scenario or plain(told.get("scenario", "")),
        mode=known.mode or plain(told.get("mode", "")),
        rest=known.rest or plain(told.get("compliance", "")),
    )


_ATTRIBUTES = ("division", "task", "platform", "inference_engine", "inference_engine_version", "workload", "scenario")


def _unless_dummy(text: str) -> str:
    return "" if text == "dummy" else text


def _by_name(name: str) -> Named | None:
    """Return what a name says; None where it is no name of an MLPerf test."""
    raw = name.split(".")
    parts = raw if len(raw) == 8 else _joined(raw)
    at = next((index for index in range(len(parts) - 1, 4, -1) if parts[index].lower() in _SCENARIOS), None)
    if parts[0] != "mlperf" or at is None or at < 6 or not all(parts[:at]):
        return None
    division, task, platform = parts[1:4]
    *library, benchmark = parts[4:at]
    mode = parts[at + 1].lower() if at + 1 < len(parts) else ""
    text = ".".join(library)
    version = re.search(r"-v?(\d[\w.]*)", text)
    return Named(
        division=division.lower() if division.lower() in _DIVISIONS else "",
        task=task,
        platform=platform,
        library=text,
        library_version=version[1] if version else "",
        benchmark=benchmark,
        scenario=parts[at].lower(),
        mode=mode if mode in _MODES else "",
        rest=".".join(parts[at + 2 :]),
    )


def _joined(parts: list[str]) -> list[str]:
    """Put together what the dots of versions have parted: what begins with a digit belongs to what is before it."""
    joined: list[str] = []
    for part in parts:
        if joined and part[:1].isdigit() and joined[-1][-1:].isdigit():
            joined[-1] += f".{part}"
        else:
            joined.append(part)
    return joined
