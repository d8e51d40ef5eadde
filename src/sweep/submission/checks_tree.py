"""What must hold of a tree as a whole, and of what each submitter has in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from sweep.submission.findings import Check, Found, OfSubmitter, OfTree, Severity
from sweep.submission.rounds import DIVISIONS, Round
from sweep.submission.tree import Tree, TreeSubmitter, entries, folders

_SIZE_MAX = 50 << 20
"""Bytes that a file of a round's repository may have (FILE_SIZE_LIMIT_MB)."""

_NAME_MAX = 255
_SHOWN = 10
_FILES_MAX = 200_000
_OTHER_DIVISIONS = ("network",)


def systems(submitter: TreeSubmitter, rules: Round, tree: Tree) -> Iterator[Found]:
    """Every description has results."""
    del rules, tree
    have = {folder.name for folder in folders(submitter.paths.results)}
    for path in entries(submitter.paths.systems):
        if path.suffix == ".json" and path.stem not in have:
            yield Found(f"systems/{path.name} describes a system without results", Severity.WARNING)
    if not have:
        yield Found("results/ has no system in it")


def whole(submitter: TreeSubmitter, rules: Round, tree: Tree) -> Iterator[Found]:
    """Every folder of a system and benchmark leads to a result."""
    del rules, tree
    for system in folders(submitter.paths.results):
        benchmarks = folders(system)
        if not benchmarks:
            yield Found(f"results/{system.name} has no benchmark in it")
        for benchmark in benchmarks:
            if not folders(benchmark):
                yield Found(f"results/{system.name}/{benchmark.name} has no scenario in it")


def names(tree: Tree, rules: Round) -> Iterator[Found]:
    """Names can be names on any machine."""
    del rules
    found = []
    for path, _ in _walk(tree):
        name = os.path.basename(path)  # noqa: PTH119  (names of any bytes)
        if not (name.isascii() and name.isprintable()) or " " in name or len(name) > _NAME_MAX:
            found.append(path)
    for path in found[:_SHOWN]:
        shown = path.encode("utf-8", "backslashreplace").decode()
        yield Found(f"{shown}: names hold ASCII characters, and no spaces")
    if len(found) > _SHOWN:
        yield Found(f"and {len(found) - _SHOWN} more such names")


def links(tree: Tree, rules: Round) -> Iterator[Found]:
    """What is a link is no file."""
    del rules
    for path, kind in islice(((p, k) for p, k in _walk(tree) if k == "link"), _SHOWN):
        yield Found(f"{path} is a {kind}: put the file itself in its place")


def sizes(tree: Tree, rules: Round) -> Iterator[Found]:
    """No file is too large, no folder is empty."""
    del rules
    for path, kind in _walk(tree):
        full = tree.root / path
        if kind == "folder" and not entries(full):
            yield Found(f"{path} is an empty folder", Severity.WARNING)
        elif kind == "file" and (size := _size(tree, path)) > _SIZE_MAX:
            yield Found(f"{path} has {size / (1 << 20):.0f} MiB, and a file may have {_SIZE_MAX >> 20}")


def root(tree: Tree, rules: Round) -> Iterator[Found]:
    """Nothing but divisions lies in the root."""
    del rules
    for path in entries(tree.root):
        if path.name in _OTHER_DIVISIONS and path.is_dir():
            yield Found(f"the division {path.name}", Severity.NOT_CHECKED)
        elif path.name not in DIVISIONS and not path.name.startswith("."):
            yield Found(f"{path.name} lies beside the divisions", Severity.WARNING)


def reach(tree: Tree, rules: Round) -> Iterator[Found]:
    """Everything was looked at."""
    del rules
    if sum(1 for _ in _walk(tree)) >= _FILES_MAX:
        yield Found(
            f"what comes after the first {_FILES_MAX} files and folders: names, links, sizes", Severity.NOT_CHECKED
        )


def _walk(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield everything in the divisions of a tree: its path below the root, and whether it is a file, a folder, a link.

    Level by level, so that no depth is too much for it.
    """
    count = 0
    waiting = [division for division in DIVISIONS if os.path.lexists(tree.root / division)]
    while waiting:
        path = waiting.pop()
        full = os.path.join(tree.root, path)  # noqa: PTH118  (names of any bytes)
        kind = "link" if os.path.islink(full) else "folder" if os.path.isdir(full) else "file"  # noqa: PTH112, PTH114
        yield path, kind
        if (count := count + 1) >= _FILES_MAX:
            return
        if kind == "folder":
            try:
                names = sorted(os.listdir(full), reverse=True)  # noqa: PTH208  (likewise)
            except OSError:
                continue
            waiting += [os.path.join(path, name) for name in names]  # noqa: PTH118


def _size(tree: Tree, path: str) -> int:
    try:
        return (tree.root / path).stat().st_size
    except OSError:
        return 0


OF_SUBMITTERS: tuple[tuple[Check, OfSubmitter], ...] = (
    (
        Check(
            "systems",
            "every description of a system has results",
            "a system without any is no part of a submission; submission-checker.py",
        ),
        systems,
    ),
    (Check("whole", "every folder of a system and of a benchmark leads to a result", "else something is lost"), whole),
)
"""What is checked of each submitter in a division."""

OF_TREES: tuple[tuple[Check, OfTree], ...] = (
    (Check("root", "nothing but divisions lies in the root", "the rest is not looked at by anybody"), root),
    (
        Check(
            "names",
            "names are ASCII without spaces",
            "others unpack the tree on systems that have no such names; submission-checker.py",
        ),
        names,
    ),
    (Check("links", "no file or folder is a link", "links lead nowhere on another machine"), links),
    (Check("reach", "everything in the tree was looked at", "what was not may hold anything"), reach),
    (
        Check(
            "sizes",
            "no file has more than 50 MiB, and no folder is empty",
            "the repository of a round takes neither; constants.py (FILE_SIZE_LIMIT_MB)",
        ),
        sizes,
    ),
)
"""What is checked of a tree."""
