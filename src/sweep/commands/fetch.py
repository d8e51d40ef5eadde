"""`python -m sweep fetch MODEL`: get a model's reference file into the cache."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.commands.arguments import Parser
from sweep.config.files import choices, load_choice
from sweep.errors import ConfigError, Problem, choose
from sweep.models import model_config
from sweep.models.fetch import fetch_reference
from sweep.paths import cache_dir


def main(arguments: Sequence[str]) -> int:
    """Download, check and install the reference file of a model; return 0 when it is there."""
    known = _with_reference()
    parser = Parser(
        prog="sweep fetch",
        usage="%(prog)s [-h] [--url URL] model",
        description="Get a model's MLPerf reference file. A download that was cut off goes on where it stopped.",
    )
    parser.add_argument("model", nargs="?", help=f"one of: {', '.join(known)}")
    parser.add_argument(
        "--url", help="a mirror that has the same file: https, http or file (NAME:PASSWORD@HOST where it asks)"
    )
    options = parser.parse_args(arguments)
    options.model = options.model and options.model.removeprefix("model=")
    if options.model not in known:
        raise ConfigError(_no_reference(options.model, known))
    config = model_config(load_choice("model", options.model))

    from rich.progress import DownloadColumn, TransferSpeedColumn

    from sweep.terminal import progress_bar

    with progress_bar(config.name, DownloadColumn(), TransferSpeedColumn()) as progress:
        path = fetch_reference(config, cache_dir(), url=options.url, progress=progress)
    print(f"{config.name}: {path}")
    return 0


def _no_reference(model: str | None, known: Sequence[str]) -> Problem:
    if model is None:
        return Problem("model", None, "must be given", choose("", known))
    if model in choices("model"):
        return Problem("model", model, "has no reference file to download", choose("", known))
    return Problem("model", model, "unknown model", choose(model, known))


def _with_reference() -> list[str]:
    return [name for name in choices("model") if load_choice("model", name).get("reference_url")]
