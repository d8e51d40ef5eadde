"""What must hold of a tree as a whole, and of what each submitter has in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from sweep.paths import in_words
from sweep.submission.findings import Check, Found, OfSubmitter, OfTree, Severity
from sweep.submission.rounds import DIVISIONS, Round
from sweep.submission.tree import Tree, TreeSubmitter, entries, folders, is_file, is_folder

_SIZE_MAX = 50 << 20
"""Bytes that a file of a round's repository may have (FILE_SIZE_LIMIT_MB)."""

_NAME_MAX = 255
_SHOWN = 10
_FILES_MAX = 200_000
_OTHER_DIVISIONS = ("network",)
_IN_ROOT = (".git", ".github", "assets")
_DOCUMENTS = (".md", ".pdf")
_TEXTS = (".md", ".adoc")


def systems(submitter: TreeSubmitter, rules: Round, tree: Tree) -> Iterator[Found]:
    """Every description, and every folder of measurements, has results."""
    del tree
    have = {folder.name for folder in folders(submitter.paths.results)}
    for path in entries(submitter.paths.systems):
        if path.suffix == ".json" and path.stem not in have:
            yield Found(f"systems/{path.name} describes a system without results")
    for path in [] if rules.flat else folders(submitter.paths.directory / "measurements"):
        if path.name not in have:
            yield Found(f"measurements/{path.name} is of a system without results")
    if not have:
        yield Found("results/ has no system in it", Severity.WARNING)


def whole(submitter: TreeSubmitter, rules: Round, tree: Tree) -> Iterator[Found]:
    """Every folder of a system and benchmark leads to a result."""
    del rules, tree
    for system in folders(submitter.paths.results):
        benchmarks = folders(system)
        if not benchmarks:
            yield Found(f"results/{system.name} has no benchmark in it", Severity.WARNING)
        for benchmark in benchmarks:
            if not folders(benchmark):
                is_closed = submitter.paths.division == "closed"
                what = f"results/{system.name}/{benchmark.name} has no scenario in it"
                yield Found(what, Severity.ERROR if is_closed else Severity.WARNING)


def calibration(submitter: TreeSubmitter, rules: Round, tree: Tree) -> Iterator[Found]:
    """In closed, it says how weights were quantised."""
    del tree
    paths = submitter.paths
    places = [folder / f"calibration{end}" for folder in (paths.calibration.parent, paths.directory) for end in _TEXTS]
    if rules.wants_calibration and paths.division == "closed" and not any(is_file(place) for place in places):
        yield Found("neither documentation/calibration.md nor calibration.md is there")


def names(tree: Tree, rules: Round) -> Iterator[Found]:
    """Names can be names on any machine."""
    del rules
    refused, odd = [], []
    for path, _ in _walk(tree):
        name = os.path.basename(path)  # noqa: PTH119  (names of any bytes)
        if " " in name or name.startswith(".") or name == "__pycache__":
            refused.append(path)
        elif not (name.isascii() and name.isprintable()) or len(name) > _NAME_MAX:
            odd.append(path)
    wanted = "names hold no spaces, begin with no dot, and are not __pycache__"
    for paths, rule, severity in (
        (refused, wanted, Severity.ERROR),
        (odd, "names hold ASCII characters", Severity.WARNING),
    ):
        for path in paths[:_SHOWN]:
            yield Found(f"{in_words(path)}: {rule}", severity)
        if len(paths) > _SHOWN:
            yield Found(f"and {len(paths) - _SHOWN} more such names", severity)


def links(tree: Tree, rules: Round) -> Iterator[Found]:
    """What is a link is no file."""
    del rules
    for path, kind in islice(((p, k) for p, k in _walk(tree) if k == "link"), _SHOWN):
        severity = Severity.WARNING if is_folder(tree.root / path) else Severity.ERROR
        yield Found(f"{path} is a {kind}: put the file itself in its place", severity)


def sizes(tree: Tree, rules: Round) -> Iterator[Found]:
    """No file is too large, no folder is empty."""
    del rules
    for path, kind in _walk(tree):
        full = tree.root / path
        if kind == "folder" and not entries(full):
            yield Found(f"{path} is an empty folder")
        elif kind == "file" and (size := _size(tree, path)) > _SIZE_MAX:
            yield Found(f"{path} has {size / (1 << 20):.0f} MiB, and a file may have {_SIZE_MAX >> 20}")


def root(tree: Tree, rules: Round) -> Iterator[Found]:
    """Nothing but divisions lies in the root, and nothing but submitters in these."""
    del rules
    for path in entries(tree.root):
        if path.name in _OTHER_DIVISIONS and path.is_dir():
            yield Found(f"the division {path.name}", Severity.NOT_CHECKED)
        elif path.name in DIVISIONS:
            yield from (
                Found(f"{path.name}/{one.name} lies beside the submitters") for one in entries(path) if is_file(one)
            )
        elif is_file(path) and path.suffix not in _DOCUMENTS:
            yield Found(f"{path.name} lies beside the divisions")
        elif path.suffix not in _DOCUMENTS and path.name not in _IN_ROOT:
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
            "every description of a system, and every folder of measurements, has results",
            "a system without any is no part of a submission; submission_checker.py",
        ),
        systems,
    ),
    (Check("whole", "every folder of a system and of a benchmark leads to a result", "else something is lost"), whole),
    (
        Check(
            "calibration",
            "in closed, since v5.1, documentation/calibration.md or calibration.md says how weights were quantised",
            "the rules of closed demand it; submission_checker.py",
        ),
        calibration,
    ),
)
"""What is checked of each submitter in a division."""

OF_TREES: tuple[tuple[Check, OfTree], ...] = (
    (
        Check(
            "root",
            "nothing but divisions and documents lies in the root, nothing but submitters in a division",
            "the rest is not looked at by anybody; submission_checker.py",
        ),
        root,
    ),
    (
        Check(
            "names",
            "names are ASCII without spaces, begin with no dot, and are not __pycache__",
            "others unpack the tree on systems that have no such names; submission_checker.py",
        ),
        names,
    ),
    (Check("links", "no file or folder is a link", "links may lead nowhere on another machine"), links),
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
