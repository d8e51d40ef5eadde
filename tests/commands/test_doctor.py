"""`sweep doctor` reports whatever a machine is like; it never ends in a traceback itself."""

import json
import sys
from importlib.metadata import EntryPoint

import pytest

from sweep.backends import registry as backends
from sweep.backends.trt.build import Built
from sweep.backends.trt.cache import LIMIT_GB, EngineCache
from sweep.cli import main
from sweep.datasets import registry as datasets


@pytest.fixture(autouse=True)
def _own_folder(empty_folder, monkeypatch):
    monkeypatch.setattr(datasets, "_openers", dict(datasets._openers))


@pytest.fixture
def report(capfd):
    """Run the command; return its lines by topic and name, and its exit code."""

    def run():
        code = main(["doctor"])
        out, err = capfd.readouterr()
        assert err == ""
        rows = [line.split() for line in out.splitlines()]
        return {" ".join(row[:2]): " ".join(row[2:]) for row in rows if len(row) > 2}, code

    return run


def test_what_a_fresh_machine_lacks_comes_with_what_to_do(report):
    lines, code = report()
    assert code == 0
    assert lines["model digits"] == "yes shipped"
    assert lines["model onnx"] == "yes your own file: model.path=FILE"
    assert lines["model resnet"] == "yes synthetic weights; for the reference: python -m sweep fetch resnet"
    fix = "python -m sweep dataset imagenet --images FOLDER --labels val_map.txt"
    assert lines["dataset imagenet"] == f"(linear) no not prepared; {fix}"
    assert "opencv" in lines["package cv2"] or "installed (prepares ImageNet)" in lines["package cv2"]


def test_prepared_images_are_counted(report, tmp_path):
    store = tmp_path / "cache" / "datasets" / "imagenet"
    store.mkdir(parents=True)
    (store / "samples-linear.u8").touch()
    lines, _ = report()
    assert lines["dataset imagenet"].startswith(f"(linear) no preparing in {store} was not finished; python -m sweep")
    manifest = {"schema_version": 1, "count": 500, "side": 224, "opencv": "4", "preprocessing": 1}
    (store / "manifest.json").write_text(json.dumps({**manifest, "digests": {"linear": "sha256:0"}}))
    lines, _ = report()
    assert lines["dataset imagenet"] == f"(linear) yes 500 images prepared in {store}"
    (store / "manifest.json").write_text("{")
    lines, _ = report()
    assert lines["dataset imagenet"].startswith(f"(linear) no {store}: is damaged: manifest.json cannot be read")


BROKEN = {
    "raises": "raise RuntimeError('no\\nlicence')",
    "lacks": "import a_module_that_nobody_has",
    "exits": "import sys; sys.exit(3)",
    "empty": "",
    "odd": "Thing = 3",
    "late": (
        "from sweep.backends.simulated import SimulatedBackend\n"
        "class Thing(SimulatedBackend):\n"
        "    @classmethod\n"
        "    def availability(cls):\n"
        "        raise OSError('the driver\\nis gone')\n"
    ),
}


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Make a module `broken_NAME` for each of BROKEN; return the entry points to them in a group."""
    for name, text in BROKEN.items():
        (tmp_path / f"broken_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    def points(group):
        return {name: EntryPoint(name, f"broken_{name}:Thing", group) for name in BROKEN}

    yield points
    for name in BROKEN:
        sys.modules.pop(f"broken_{name}", None)


def test_backends_of_others_that_are_broken_are_a_line_each(report, broken, monkeypatch):
    known = {**backends._entry_points(), **broken(backends.GROUP)}
    monkeypatch.setattr(backends, "_entry_points", lambda: known)
    lines, code = report()
    assert code == 0, "the others still work"
    said = "no cannot be imported (RuntimeError: no licence); mend or remove broken_raises:Thing"
    assert lines["backend raises"] == said
    assert "a_module_that_nobody_has" in lines["backend lacks"]
    assert lines["backend exits"].startswith("no cannot be imported (SystemExit: 3)")
    assert "AttributeError" in lines["backend empty"]
    assert lines["backend odd"] == "no is not a backend; mend or remove broken_odd:Thing"
    assert lines["backend late"] == "no OSError: the driver is gone"


def test_datasets_of_others_that_are_broken_are_a_line_each(report, broken, monkeypatch):
    known = broken(datasets.GROUP)
    known["theirs"] = EntryPoint("theirs", "sweep.datasets.synthetic:open_synthetic", datasets.GROUP)
    monkeypatch.setattr(datasets, "_entry_points", lambda: known)
    lines, _ = report()
    assert lines["dataset theirs"] == "yes registered by another package"
    said = "no cannot be imported (RuntimeError: no licence); mend or remove broken_raises:Thing"
    assert lines["dataset raises"] == said
    assert lines["dataset odd"] == "no is not a function that opens one; mend or remove broken_odd:Thing"


def test_the_engines_in_the_cache_are_counted_against_their_limit(report, tmp_path, monkeypatch):
    assert report()[0]["cache engines"].startswith("yes 0 of TensorRT, 0.00 GB of at most 20 GB")
    EngineCache(tmp_path / "cache").get({"model": "a"}, lambda: Built(bytes(30_000_000), 1.0))
    monkeypatch.setenv(LIMIT_GB, "0.5")
    lines, _ = report()
    assert lines["cache engines"].startswith(
        f"yes 1 of TensorRT, 0.03 GB of at most 0.5 GB ({LIMIT_GB}), in {tmp_path}"
    )
    monkeypatch.setenv(LIMIT_GB, "much")
    lines, code = report()
    assert lines["cache engines"].startswith(f"no {LIMIT_GB}=much: is no size in GB; set a number")
    assert code == 0


def test_a_cache_folder_that_cannot_be_looked_into_is_a_line(report, tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / ("x" * 300)))
    lines, code = report()
    assert code == 0
    assert "File name too long" in lines["model resnet"]
    assert lines["dataset imagenet"].startswith("(linear) no")


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("foo", "foo: sweep doctor takes no such argument; see python -m sweep doctor --help"),
        ("--fix", "--fix: unknown flag; choose one of: --help"),
    ],
)
def test_a_usage_error_is_one_line(capfd, argument, line):
    assert main(["doctor", argument]) == 2
    assert capfd.readouterr() == ("", f"error: {line}\n")


def test_help_is_shown(capfd):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--help"])
    assert ended.value.code == 0
    assert "usage: sweep doctor" in capfd.readouterr().out
