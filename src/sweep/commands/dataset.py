"""`python -m sweep dataset imagenet ...`: prepare a dataset once, for any number of sweeps."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sweep.commands.arguments import Parser, one_of, whole
from sweep.datasets import default_store
from sweep.datasets.imagenet import INTERPOLATIONS
from sweep.errors import ConfigError, Problem, choose
from sweep.paths import cache_dir


def main(arguments: Sequence[str]) -> int:
    """Prepare a dataset; return 0 when it is complete."""
    parser = Parser(
        prog="sweep dataset",
        usage="%(prog)s [-h] DATASET ...",
        description="Prepare a dataset once.",
        epilog="Each dataset has its own options: sweep dataset DATASET --help",
    )
    kinds = f"one of: {', '.join(_KINDS)}"
    parser.add_argument("kind", metavar="DATASET", nargs="?", type=one_of("dataset", _KINDS), help=kinds)
    head = [argument for argument in arguments[:1] if not argument.startswith("-") or argument in {"-h", "--help"}]
    options = parser.parse_args(head)
    if options.kind is None:
        raise ConfigError(Problem("dataset", None, "must be given first", choose("", _KINDS)))
    return _KINDS[options.kind](arguments[1:])


def _imagenet_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sweep dataset imagenet",
        description=(
            "Decode, resize and crop images as MLPerf's reference does, into one file of uint8 samples per "
            "interpolation. A run that was stopped goes on where it stopped."
        ),
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images")
    parser.add_argument("--labels", type=Path, required=True, metavar="FILE", help="lines of NAME LABEL (val_map.txt)")
    parser.add_argument(
        "--count", type=whole("--count", 1), metavar="N", help="the first N lines only (500 in the 2020 workflow)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to keep it; default: the cache folder")
    parser.add_argument(
        "--interpolation",
        type=one_of("--interpolation", (*INTERPOLATIONS, "both")),
        default="both",
        metavar="NAME",
        help="area (resnet), linear (mobilenet) or both (the default)",
    )
    parser.add_argument("--workers", type=whole("--workers", 1), metavar="N", help="processes; default: one per core")
    parser.add_argument(
        "--force", action="store_true", help="replace more images, or others, that are prepared already"
    )
    return parser.parse_args(arguments)


def _imagenet(arguments: Sequence[str]) -> int:
    options = _imagenet_options(arguments)
    from rich.progress import MofNCompleteColumn

    from sweep.datasets.imagenet_prepare import prepare_imagenet
    from sweep.terminal import progress_bar

    out = default_store(cache_dir()) if options.out is None else options.out
    wanted = INTERPOLATIONS if options.interpolation == "both" else (options.interpolation,)
    with progress_bar("images", MofNCompleteColumn()) as progress:
        store = prepare_imagenet(
            options.images,
            options.labels,
            out,
            count=options.count,
            interpolations=wanted,
            workers=options.workers,
            force=options.force,
            progress=progress,
        )
    there = f"({', '.join(sorted(store.digests))}) in {store.folder}"
    if store.asked < store.count:
        print(
            f"imagenet: prepared already, with {store.count} samples {there}; "
            f"to use the first {store.asked}: dataset.count={store.asked}; to keep no more: --force"
        )
    else:
        print(f"imagenet: {store.count} samples {there}")
    return 0


_KINDS: Mapping[str, Callable[[Sequence[str]], int]] = {"imagenet": _imagenet}
