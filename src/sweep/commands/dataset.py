"""`python -m sweep dataset imagenet ...`: prepare a dataset once, for any number of sweeps."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sweep.datasets import default_store
from sweep.datasets.imagenet import INTERPOLATIONS
from sweep.paths import cache_dir


def main(arguments: Sequence[str]) -> int:
    """Prepare a dataset; return 0 when it is complete."""
    parser = argparse.ArgumentParser(prog="sweep dataset", description="Prepare a dataset once.")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="DATASET")
    imagenet = kinds.add_parser(
        "imagenet",
        help="ImageNet validation images",
        description=(
            "Decode, resize and crop images as MLPerf's reference does, into one file of uint8 samples per "
            "interpolation. A run that was stopped goes on where it stopped."
        ),
    )
    imagenet.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images")
    imagenet.add_argument(
        "--labels", type=Path, required=True, metavar="FILE", help="lines of NAME LABEL (val_map.txt)"
    )
    imagenet.add_argument("--count", type=int, metavar="N", help="the first N lines only (500 in the 2020 workflow)")
    imagenet.add_argument("--out", type=Path, metavar="DIR", help="where to keep it; default: the cache folder")
    imagenet.add_argument(
        "--interpolation",
        choices=(*INTERPOLATIONS, "both"),
        default="both",
        help="resnet wants area, mobilenet linear (default: both)",
    )
    imagenet.add_argument("--workers", type=int, metavar="N", help="processes; default: one per core")
    options = parser.parse_args(arguments)
    return _imagenet(options)


def _imagenet(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from sweep.datasets.imagenet_prepare import prepare_imagenet

    out = default_store(cache_dir()) if options.out is None else options.out
    wanted = INTERPOLATIONS if options.interpolation == "both" else (options.interpolation,)
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        store = prepare_imagenet(
            options.images,
            options.labels,
            out,
            count=options.count,
            interpolations=wanted,
            workers=options.workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(f"imagenet: {store.count} samples ({', '.join(sorted(store.digests))}) in {store.folder}")
    return 0
