"""`python -m sweep doctor`: what this machine can run and, for what it cannot, why and what to install."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from sweep.backends.registry import AUTO_ORDER, backend_class, backend_names
from sweep.backends.trt.cache import LIMIT_GB, EngineCache, limit_bytes
from sweep.commands.arguments import Parser
from sweep.commands.doctor_gpus import examine_gpus
from sweep.commands.findings import Finding
from sweep.config.files import choices, load_choice
from sweep.datasets import DatasetConfig, dataset_names, default_store
from sweep.datasets.imagenet import INTERPOLATIONS, StoreFiles, prepare_command, read_manifest
from sweep.datasets.registry import dataset_opener
from sweep.environment import fingerprint
from sweep.errors import ConfigError
from sweep.models import model_config
from sweep.models.reference import reference_path
from sweep.paths import cache_dir

_OWN_DATASETS = ("digits", "imagenet", "synthetic")


def main(arguments: Sequence[str]) -> int:
    """Print the report; return 0 when tests can be run at all, else 1."""
    Parser(prog="sweep doctor", description=__doc__).parse_args(arguments)
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
    yield from examine_gpus()
    yield _package("loadgen", "mlperf_loadgen", "mlcommons-loadgen", "")
    yield from (_backend(name) for name in backend_names())
    yield from (_model(name) for name in choices("model"))
    yield from (_imagenet(interpolation) for interpolation in INTERPOLATIONS)
    yield from (_other_dataset(name) for name in dataset_names() if name not in _OWN_DATASETS)
    yield _engines()
    yield _package("package", "cv2", "opencv-python-headless", "prepares ImageNet")


def _backend(name: str) -> Finding:
    try:
        backend = backend_class(name)
        availability = backend.availability()
        able = f"; {', '.join(backend.precisions())}" if availability.available else ""
    except (Exception, SystemExit) as error:  # noqa: BLE001  (it may be anybody's module, and raise anything)
        return _unusable("backend", name, error)
    return Finding("backend", name, availability.available, availability.detail + able, availability.fix)


def _model(name: str) -> Finding:
    try:
        config = model_config(load_choice("model", name))
        if config.reference_url is None:
            shipped = config.architecture is None and name == "digits"
            return Finding("model", name, fine=True, detail="shipped" if shipped else "your own file: model.path=FILE")
        there = reference_path(config, cache_dir()).is_file()
    except (ConfigError, OSError) as error:
        return _unusable("model", name, error)
    fix = "" if there else f"for the reference: python -m sweep fetch {name}"
    return Finding("model", name, fine=True, detail="reference weights" if there else "synthetic weights", fix=fix)


def _imagenet(interpolation: str) -> Finding:
    name, folder = f"imagenet ({interpolation})", default_store(cache_dir())
    state, fix = "not prepared", prepare_command(DatasetConfig())
    try:
        manifest = read_manifest(StoreFiles(folder))
        if interpolation in manifest.digests:
            return Finding("dataset", name, fine=True, detail=f"{manifest.count} images prepared in {folder}")
    except FileNotFoundError:
        if StoreFiles(folder).samples(interpolation).exists():
            state = f"preparing in {folder} was not finished"
    except ConfigError as error:
        return _unusable("dataset", name, error)
    return Finding("dataset", name, fine=False, detail=state, fix=fix)


def _other_dataset(name: str) -> Finding:
    try:
        dataset_opener(name)
    except ConfigError as error:
        return _unusable("dataset", name, error)
    return Finding("dataset", name, fine=True, detail="registered by another package")


def _engines() -> Finding:
    cache = EngineCache(cache_dir())
    try:
        (count, size), limit = cache.usage(), limit_bytes()
    except (ConfigError, OSError) as error:
        return Finding("cache", "engines", fine=False, detail=" ".join(str(error).split()))
    used = f"{size / 1e9:.2f} GB of at most {limit / 1e9:g} GB ({LIMIT_GB})"
    return Finding("cache", "engines", fine=True, detail=f"{count} of TensorRT, {used}, in {cache.folder}")


def _unusable(topic: str, name: str, error: BaseException) -> Finding:
    """Return the finding that an error stands for."""
    if isinstance(error, ConfigError):
        problem = error.problems[0]
        value = f"{problem.value}: " if isinstance(problem.value, Path) else ""
        return Finding(topic, name, fine=False, detail=f"{value}{problem.reason}", fix=problem.fix)
    return Finding(topic, name, fine=False, detail=" ".join(f"{type(error).__name__}: {error}".split()))


def _package(topic: str, module: str, install: str, purpose: str) -> Finding:
    there = importlib.util.find_spec(module) is not None
    detail = ("installed" if there else "not installed") + (f" ({purpose})" if purpose else "")
    return Finding(topic, module, there, detail, "" if there else f"pip install {install}")
