"""`python -m sweep dashboard [DIR...] [KEY=VALUE...]`: official results and one's own on one page."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.commands.arguments import Parser, check_not_a_record
from sweep.commands.damaged import say_damaged
from sweep.errors import ConfigError, Problem, RecordError, choose, unwritable
from sweep.paths import OutputPaths, in_words, to_utf8, write_bytes

if TYPE_CHECKING:
    from sweep.dashboard.points import DashboardPoint
    from sweep.dashboard.trees import TreePoints
    from sweep.results.filters import Filters
    from sweep.results.selection import Selection

_OUT, _CK = "--out", "--export-ck"
_DEFAULT = "dashboard.html"
_FORMATS = (".html", ".csv", ".json")
_OUTPUTS = Path("outputs")


def main(arguments: Sequence[str]) -> int:
    """Write the dashboard, print where it lies and what it holds; return 0."""
    options = _parser().parse_args(arguments)

    from sweep.dashboard.gather import each_once
    from sweep.dashboard.official import official_points
    from sweep.dashboard.own import own_points
    from sweep.dashboard.trees import tree_points
    from sweep.results.filters import split_words

    path = _target(options.out, _OUT, _FORMATS)
    ck_path = None if options.export_ck is None else _target(options.export_ck, _CK, (".zip",))
    folders, filters = split_words(options.words)
    selection = _selected(folders, filters)
    damaged = () if selection is None else selection.damaged
    _check_once(options.add)
    trees = [tree_points(Path(tree)) for tree in options.add]
    say_damaged([*damaged, *(RecordError(line) for tree in trees for line in tree.problems)])
    official = () if options.no_official else official_points()
    own = () if selection is None else own_points(selection)
    if selection is not None and selection.trials and not own:
        print("note: none of one's own tests is a VALID performance test, so none is shown", file=sys.stderr)
    published = each_once(official, [tree.points for tree in trees])
    points = [*published[: len(official)], *own, *published[len(official) :]]
    if not points:
        raise ConfigError(Problem("dashboard", None, "has nothing to show", "leave out --no-official, or name results"))
    origins = _origins(official, own, trees, len(published))
    unread = [*map(str, damaged), *(line for tree in trees for line in tree.problems)]
    _write(path, _document(path.suffix.lower(), points, origins, unread), _OUT)
    print(f"{path}: {origins}{_unread(unread)}")
    if ck_path is not None:
        from sweep.dashboard.ck_table import ck_zip
        from sweep.report.words import count_of

        data, kept = ck_zip(points, ck_path.stem)
        _write(ck_path, data, _CK)
        left = len(points) - kept
        without = f"; {count_of(left, 'result')} {'has' if left == 1 else 'have'} no column in that table"
        print(f"{ck_path}: {count_of(kept, 'row')}{without if left else ''}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="sweep dashboard",
        usage="%(prog)s [-h] [DIR ...] [KEY=VALUE ...] [--out FILE]\n"
        "       [--add TREE] [--export-ck FILE.zip] [--no-official]",
        description=(
            "Set one's own results beside the official ones of MLPerf Inference v0.5, v0.7 and v1.0, which come with "
            "sweep, on one page that opens offline. DIR is an output folder (default: outputs, where there is one), or "
            "a part of one; KEY=VALUE chooses tests in it: model=resnet precision=int8."
        ),
    )
    parser.add_argument("words", nargs="*", metavar="DIR or KEY=VALUE", help="one's own results, and which of them")
    parser.add_argument(
        _OUT,
        metavar="FILE",
        default=_DEFAULT,
        help=f"where to write it (default: {_DEFAULT}); of .csv and .json, the whole table as that",
    )
    parser.add_argument(
        "--add",
        metavar="TREE",
        action="append",
        default=[],
        help="a submission tree whose results to add, of any round; may be given several times, and each time anew",
    )
    parser.add_argument(
        _CK,
        metavar="FILE.zip",
        help="write the table of the Collective Knowledge dashboard of 2020 too: a pickled pandas DataFrame",
    )
    parser.add_argument("--no-official", action="store_true", help="leave the official results out")
    return parser


def _target(name: str, field: str, suffixes: Sequence[str]) -> Path:
    """Return where to write a file; refuse what could not be written, or would overwrite something else."""
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise ConfigError(Problem(field, name, f"ends in {suffix or 'nothing'}", choose(suffix, suffixes)))
    check_not_a_record(path, field)
    if os.path.isdir(path):  # noqa: PTH112  (of a name that is too long for a path, pathlib makes an error)
        raise ConfigError(Problem(field, name, "is a folder", "give a file"))
    if not os.path.isdir(path.parent):  # noqa: PTH112  (likewise)
        fix = "make it first, or give another file"
        raise ConfigError(Problem(field, name, f"there is no folder {path.parent}", fix))
    if field == _CK and os.path.lexists(path) and not _is_ck_table(path):
        raise ConfigError(Problem(field, name, "is there already, and is no such table", "give another file"))
    return path


def _is_ck_table(path: Path) -> bool:
    """Return whether a file is what this command has written there before, by the names in it; it is not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
    return len(names) == 1 and names[0].endswith(".pickle")


def _check_once(trees: Sequence[str]) -> None:
    """Refuse a tree that is named twice: its results would stand there twice."""
    real = [os.path.realpath(tree) for tree in trees]
    for tree, place in zip(trees, real, strict=True):
        if real.count(place) > 1:
            raise ConfigError(Problem("--add", tree, "is given more than once", "name it once"))


def _selected(folders: Sequence[Path], filters: Filters) -> Selection | None:
    """Return one's own results; None where no folder was named and the usual one holds none."""
    from sweep.results.selection import select

    usual = OutputPaths(_OUTPUTS)
    places = list(folders)
    if not places:
        if not (usual.trials.is_dir() or usual.sweeps.is_dir()):
            if filters:
                reason = "there are no results of one's own to choose from"
                raise ConfigError(Problem(str(filters), None, reason, "give an output folder"))
            return None
        places = [_OUTPUTS]
    selection = select(places, filters)
    if filters and not selection.trials:
        which = " ".join(map(str, places))
        raise ConfigError(Problem(which, None, f"no test passes {filters}", "give other folders, or other filters"))
    return selection


def _origins(
    official: Sequence[object], own: Sequence[DashboardPoint], trees: Sequence[TreePoints], published: int
) -> str:
    from sweep.dashboard.points import Source

    imported = sum(point.source is Source.IMPORTED for point in own)
    parts = [f"{len(official)} official", f"{len(own) - imported} own"]
    parts += [f"{imported} imported"] * bool(imported)
    names = [in_words(Path(tree.root.absolute().name)) for tree in trees]
    parts += [f"{len(tree.points)} from {name}" for tree, name in zip(trees, names, strict=True)]
    twice = len(official) + sum(len(tree.points) for tree in trees) - published
    return ", ".join(parts) + (f" ({twice} of them in two places, shown once)" if twice else "")


def _unread(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    files = "1 file" if len(lines) == 1 else f"{len(lines)} files"
    return f"; {files} could not be read: {lines[0]}{', ...' if len(lines) > 1 else ''}"


def _document(suffix: str, points: Sequence[DashboardPoint], origins: str, unread: Sequence[str]) -> bytes:
    writers: dict[str, Callable[[Sequence[DashboardPoint]], bytes]]
    from sweep.dashboard.table import to_csv, to_json

    writers = {".csv": to_csv, ".json": to_json}
    if suffix in writers:
        return writers[suffix](points)
    from sweep.dashboard.page import render_dashboard

    return to_utf8(render_dashboard(points, origins, unread))


def _write(path: Path, data: bytes, field: str) -> None:
    try:
        write_bytes(path, data)
    except OSError as error:
        raise unwritable(path, error, field) from error
