"""`python -m sweep doctor`: what this machine can run and, for what it cannot, why and what to install."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweep.backends.registry import AUTO_ORDER, backend_class, backend_names
from sweep.config.files import choices, load_choice
from sweep.datasets import default_store
from sweep.datasets.imagenet import INTERPOLATIONS, has_store
from sweep.environment import fingerprint
from sweep.errors import ConfigError
from sweep.models import model_config
from sweep.models.reference import reference_path
from sweep.paths import cache_dir


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    topic: str
    name: str
    fine: bool
    detail: str
    fix: str = ""


def main(arguments: Sequence[str]) -> int:
    """Print the report; return 0 when tests can be run at all, else 1."""
    argparse.ArgumentParser(prog="sweep doctor", description=__doc__).parse_args(arguments)
    findings = list(examine())

    from rich.text import Text

    from sweep.terminal import aligned, console, print_table

    out = console()
    rows = [
        (
            Text(finding.topic),
            Text(finding.name),
            Text("yes" if finding.fine else "no", style="green" if finding.fine else "yellow"),
            Text(finding.detail + (f"; {finding.fix}" if finding.fix else "")),
        )
        for finding in findings
    ]
    print_table(out, aligned(("", "", "ready", ""), rows))
    able = any(finding.topic == "backend" and finding.fine and finding.name in AUTO_ORDER for finding in findings)
    loadgen = all(finding.fine for finding in findings if finding.topic == "loadgen")
    out.print("this machine can run tests" if able and loadgen else "this machine cannot run tests")
    return 0 if able and loadgen else 1


def examine() -> Iterator[Finding]:
    """Yield everything there is to say about this machine."""
    machine = fingerprint()
    cores = f"{machine['cpu']}, {machine['cpu_cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB"
    yield Finding("machine", "cpu", fine=True, detail=cores)
    gpus = ", ".join(f"{gpu['name']} (driver {gpu['driver']})" for gpu in machine["gpus"])
    yield Finding("machine", "gpu", bool(gpus), gpus or "no NVIDIA GPU found", "" if gpus else "the CPU is used")
    yield _package("loadgen", "mlperf_loadgen", "mlcommons-loadgen", "")
    for name in backend_names():
        try:
            backend = backend_class(name)
            availability = backend.availability()
        except ImportError as error:
            yield Finding("backend", name, fine=False, detail=f"cannot be imported: {error}")
            continue
        able = f"; {', '.join(backend.precisions())}" if availability.available else ""
        yield Finding("backend", name, availability.available, availability.detail + able, availability.fix)
    for name in choices("model"):
        config = model_config(load_choice("model", name))
        if config.reference_url is None:
            detail = "shipped" if config.architecture is None and name == "digits" else "your own file: model.path=FILE"
            yield Finding("model", name, fine=True, detail=detail)
            continue
        try:
            there = reference_path(config, cache_dir()).is_file()
        except ConfigError as error:
            yield Finding("model", name, fine=False, detail=str(error))
            continue
        fix = "" if there else f"for the reference: python -m sweep fetch {name}"
        yield Finding("model", name, fine=True, detail="reference weights" if there else "synthetic weights", fix=fix)
    store = default_store(cache_dir())
    for interpolation in INTERPOLATIONS:
        there = has_store(store, interpolation)
        fix = "" if there else "python -m sweep dataset imagenet --images DIR --labels val_map.txt"
        yield Finding(
            "dataset", f"imagenet ({interpolation})", there, f"prepared in {store}" if there else "not prepared", fix
        )
    yield _package("package", "cv2", "opencv-python-headless", "prepares ImageNet")


def _package(topic: str, module: str, install: str, purpose: str) -> Finding:
    there = importlib.util.find_spec(module) is not None
    detail = ("installed" if there else "not installed") + (f" ({purpose})" if purpose else "")
    return Finding(topic, module, there, detail, "" if there else f"pip install {install}")
