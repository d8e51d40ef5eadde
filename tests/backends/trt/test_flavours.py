"""Which TensorRT is used, and what is said where none can be."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest

from sweep.backends.trt import flavours
from sweep.backends.trt.flavours import (
    LEAN,
    RTX,
    TENSORRT,
    Flavour,
    choose,
    complete,
    cuda_major,
    installed,
    installed_version,
    load,
    visible_gpu,
)
from sweep.errors import BackendError
from sweep.gpus import FOR_CUDA_12, Gpu

OLD_GPU = f"use backend=onnxruntime_cuda with packages for CUDA 12: {FOR_CUDA_12}"


def _gpu(capability="8.6", driver="580.65.06", index=0, uuid="GPU-1"):
    return Gpu(index, uuid, "NVIDIA RTX A6000", driver, "49140 MiB", capability)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Have exactly the given packages on the path: folders, each with the files named after it."""

    def set_up(*packages, distributions=()):
        for package in packages:
            folder, *files = package.split()
            (tmp_path / folder).mkdir(parents=True)
            for file in ("__init__.py", *files):
                (tmp_path / folder / file).touch()
        real = importlib.util.find_spec

        def find_spec(name):
            found = tmp_path / name
            if name.startswith("tensorrt"):
                return SimpleNamespace(submodule_search_locations=[str(found)]) if found.is_dir() else None
            return real(name)

        monkeypatch.setattr("importlib.util.find_spec", find_spec)
        monkeypatch.setattr(flavours, "_on_system", lambda library: False)
        monkeypatch.setattr(flavours, "distributions", lambda: [SimpleNamespace(name=name) for name in distributions])

    return set_up


def _pip(name):
    return name, f"{name}_bindings", f"{name}_libs"


@pytest.mark.parametrize(
    ("there", "capability", "chosen"),
    [
        ([TENSORRT, RTX, LEAN], "8.6", TENSORRT),
        ([RTX, LEAN], "8.6", RTX),
        ([RTX, LEAN], "9.0", LEAN),
        ([RTX, LEAN], "", RTX),
        ([LEAN], "9.0", LEAN),
    ],
)
def test_auto_takes_the_best_that_supports_the_gpu(machine, there, capability, chosen):
    machine(*(package for flavour in there for package in _pip(flavour.name)))
    assert choose("auto", _gpu(capability)).flavour is chosen


def test_a_flavour_that_is_asked_for_is_taken(machine):
    machine(*_pip("tensorrt"), *_pip("tensorrt_lean"))
    assert choose("tensorrt_lean", _gpu()).flavour is LEAN


@pytest.mark.parametrize(
    ("name", "capability", "reason", "fix"),
    [
        ("auto", "9.0", "tensorrt is not installed", "pip install 'mlperf-sweep[tensorrt]'"),
        (
            "auto",
            "8.6",
            "tensorrt is not installed",
            "pip install 'mlperf-sweep[tensorrt]', or pip install 'mlperf-sweep[tensorrt-rtx]'",
        ),
        ("tensorrt_rtx", "8.6", "tensorrt_rtx is not installed", "pip install 'mlperf-sweep[tensorrt-rtx]'"),
        ("tensorrt_lean", "8.6", "tensorrt_lean is not installed", "pip install tensorrt-lean"),
        (
            "tensorrt_rtx",
            "9.0",
            "tensorrt_rtx does not support NVIDIA RTX A6000, of compute capability 9.0",
            "pip install 'mlperf-sweep[tensorrt]'",
        ),
        *(
            (name, "7.0", "tensorrt does not support NVIDIA RTX A6000, of compute capability 7.0", OLD_GPU)
            for name in ("auto", "tensorrt")
        ),
    ],
)
def test_what_is_not_installed_says_how_it_is_had(machine, name, capability, reason, fix):
    machine()
    choice = choose(name, _gpu(capability))
    assert (choice.flavour, choice.reason, choice.fix) == (None, reason, fix)


def test_a_gpu_that_rtx_refuses_needs_tensorrt(machine):
    machine(*_pip("tensorrt_rtx"))
    choice = choose("auto", _gpu("9.0"))
    assert choice.reason == "tensorrt_rtx does not support NVIDIA RTX A6000, of compute capability 9.0"
    assert choice.fix == "pip install 'mlperf-sweep[tensorrt]'"


def test_every_obstacle_is_said(machine):
    machine(*_pip("tensorrt_rtx"), "tensorrt")
    choice = choose("auto", _gpu("9.0"))
    assert "tensorrt is installed without its library libnvinfer; tensorrt_rtx does not support" in choice.reason


@pytest.mark.parametrize(("driver", "able"), [("535.1", False), ("580.65.06", True), ("", True), ("[N/A]", True)])
def test_a_driver_must_be_new_enough_for_the_flavours_cuda(machine, driver, able):
    machine(*_pip("tensorrt"), distributions=["tensorrt", "tensorrt_cu13", "tensorrt-cu13-libs", "tensorrt_rtx_cu12"])
    choice = choose("tensorrt", _gpu(driver=driver))
    assert (choice.flavour is TENSORRT) is able
    if not able:
        assert choice.reason == "driver 535.1 is too old for tensorrt of CUDA 13, which needs 580 or newer"
        uninstall = "pip uninstall -y tensorrt tensorrt-cu13 tensorrt-cu13-libs"
        assert choice.fix.endswith(f"{uninstall}, then pip install tensorrt-cu12")


@pytest.mark.parametrize(
    ("distributions", "major"),
    [
        (["tensorrt-cu12", "tensorrt_cu12_libs"], 12),
        (["tensorrt_rtx_cu13", "tensorrt"], 0),
        (["tensorrt_cu13_bindings", None], 13),
        (["tensorrt_libs"], 0),
        ([], 0),
    ],
)
def test_cuda_is_read_from_the_names_of_packages(machine, distributions, major):
    machine(distributions=distributions)
    assert cuda_major(TENSORRT) == major


@pytest.mark.parametrize(
    ("flavour", "version", "cuda", "able", "unable"),
    [
        (RTX, "1.7.1", 13, ["7.5", "8.0", "8.6", "8.9", "12.0", "12.1", "12.2", "13.0", "", "what"], ["6.1", "7.0"]),
        (RTX, "1.7.1", 13, [], ["8.7", "9.0", "10.0", "10.3", "11.0"]),
        (TENSORRT, "10.4.0", 12, ["6.1", "7.0", "7.5", "9.0"], ["10.0", "12.0"]),
        (TENSORRT, "10.7.0.post1", 12, ["7.5", "8.7", "9.0", ""], ["6.1", "7.0", "7.2", "10.0", "12.0"]),
        (TENSORRT, "10.9", 12, ["7.5", "9.0", "10.0", "12.0"], ["6.1", "7.0"]),
        (LEAN, "11.4", 13, ["7.5", "9.0", "10.0", "12.0", "13.0"], ["6.1", "7.0"]),
        (LEAN, "10.7", 12, ["9.0"], ["10.0"]),
        (TENSORRT, "", 0, ["6.1", "7.0", "9.0", "12.0", ""], []),
        (TENSORRT, "", 13, ["7.5"], ["6.1", "7.0"]),
    ],
)
def test_a_gpu_that_a_flavour_does_not_support_is_refused_by_name(
    machine, monkeypatch, flavour, version, cuda, able, unable
):
    """Else a build of minutes ends in «Target GPU SM 61 is not supported»."""
    machine(*_pip(flavour.name), distributions=[f"{flavour.name}-cu{cuda}"] if cuda else [])
    monkeypatch.setattr(flavours, "version", lambda name: version)
    for capability in able:
        assert choose(flavour.name, _gpu(capability)).flavour is flavour
    for capability in unable:
        choice = choose(flavour.name, _gpu(capability))
        assert choice.flavour is None
        assert f"does not support NVIDIA RTX A6000, of compute capability {capability}" in choice.reason
        assert choice.fix


@pytest.mark.parametrize(
    ("flavour", "version", "capability", "fix"),
    [
        (TENSORRT, "10.7.0", "12.0", "pip install --upgrade 'tensorrt>=10.8'"),
        (TENSORRT, "10.9", "7.0", OLD_GPU),
        (RTX, "1.7", "9.0", "pip install 'mlperf-sweep[tensorrt]'"),
        (RTX, "1.7", "6.1", OLD_GPU),
    ],
)
def test_what_to_install_for_it_instead(machine, monkeypatch, flavour, version, capability, fix):
    machine(*_pip(flavour.name))
    monkeypatch.setattr(flavours, "version", lambda name: version)
    assert choose(flavour.name, _gpu(capability)).fix == fix


@pytest.mark.parametrize(
    ("driver", "install"), [("580.65", "pip install 'mlperf-sweep[tensorrt]'"), ("550.1", "pip install tensorrt-cu12")]
)
def test_two_builds_of_one_flavour_are_named_with_what_to_uninstall(machine, driver, install):
    both = ["tensorrt", "tensorrt_cu12", "tensorrt-cu12-libs", "tensorrt-cu13-libs", "tensorrt_rtx_cu13"]
    machine(*_pip("tensorrt"), distributions=both)
    for name in ("auto", "tensorrt"):
        choice = choose(name, _gpu(driver=driver))
        assert choice.flavour is None
        assert choice.reason.startswith("tensorrt-cu12 and tensorrt-cu13 lie in the same folders")
        uninstall = "pip uninstall -y tensorrt tensorrt-cu12 tensorrt-cu12-libs tensorrt-cu13-libs"
        assert choice.fix == f"{uninstall}, then {install}"


@pytest.mark.parametrize("others", [[], ["tensorrt"]], ids=["alone", "beside one that asked for it"])
def test_the_version_of_a_build_for_one_cuda_is_known(machine, monkeypatch, others):
    """After its upgrade too: the package that first asked for it stays as old as it was."""
    machine(*_pip("tensorrt"), distributions=["tensorrt_cu12_bindings", *others])
    found = {"tensorrt-cu12-bindings": "10.9", "tensorrt": "10.7"}

    def version(name):
        if name not in found:
            raise flavours.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(flavours, "version", version)
    assert installed_version(TENSORRT) == "10.9"
    assert choose("tensorrt", _gpu("12.0")).flavour is TENSORRT
    found["tensorrt-cu12-bindings"] = "10.7"
    assert choose("tensorrt", _gpu("12.0")).fix == "pip install --upgrade 'tensorrt-cu12>=10.8'"


class TestComplete:
    def test_a_stub_is_not_tensorrt(self, machine):
        """From PyPI, it fetches its libraries from elsewhere while it is installed, or does not."""
        machine("tensorrt")
        assert installed(TENSORRT)
        assert not complete(TENSORRT)

    def test_bindings_without_a_library_are_not_either(self, machine):
        machine("tensorrt", "tensorrt_bindings")
        assert not complete(TENSORRT)

    def test_the_systems_library_is_as_good_as_pips(self, machine, monkeypatch):
        machine("tensorrt tensorrt.so")
        monkeypatch.setattr(flavours, "_on_system", lambda library: library == "nvinfer")
        assert complete(TENSORRT)

    def test_the_real_one_is_complete(self, rtx):
        assert installed(RTX)
        assert complete(RTX)
        assert cuda_major(RTX) >= 12
        assert installed_version(RTX) == rtx.version
        assert installed_version(Flavour("no_such_flavour", "", "")) == ""
        assert rtx.title == f"tensorrt_rtx {rtx.module.__version__}"


def test_nothing_is_imported_to_choose():
    """`doctor` and each point of a grid ask; a library of CUDA takes a second, and memory on the device."""
    code = """
import sys
from sweep.backends.tensorrt import TensorRTBackend
TensorRTBackend.availability(), TensorRTBackend.validate_options({})
print([name for name in sys.modules if name.startswith("tensorrt")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "error", [ImportError("libnvinfer.so.10: cannot open\nshared object"), OSError("no"), SystemError()]
)
def test_a_flavour_that_cannot_be_imported_is_one_line(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(
        BackendError, match=rf"^tensorrt cannot be imported \({type(error).__name__}:.*\); pip install"
    ) as e:
        load(TENSORRT)
    assert "\n" not in str(e.value)


class TestVisibleGpu:
    @pytest.fixture
    def two(self, monkeypatch):
        found = (_gpu("8.6"), _gpu("9.0", index=1, uuid="GPU-2"))
        monkeypatch.setattr("sweep.gpus.gpus", lambda: found)
        return found

    @pytest.mark.parametrize(
        ("visible", "index"),
        [("GPU-2", 1), ("GPU-1,GPU-2", None), ("GPU-1", 0), ("1,0", None), ("1", 1), ("", None), ("-1", None)],
    )
    def test_it_is_the_one_that_cuda_is_shown(self, two, monkeypatch, visible, index):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        seen = visible_gpu()
        assert (seen and seen.uuid) == (None if index is None else two[index].uuid)

    def test_of_two_kinds_none_is_known_to_be_the_first(self, two, monkeypatch):
        """CUDA puts the fastest first, whatever the order on the bus."""
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert visible_gpu() is None

    def test_of_one_kind_any_will_do(self, monkeypatch):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr("sweep.gpus.gpus", lambda: (_gpu(), _gpu(index=1, uuid="GPU-2")))
        assert visible_gpu() == _gpu()

    def test_without_gpus_there_is_none(self, monkeypatch):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr("sweep.gpus.gpus", lambda: ())
        assert visible_gpu() is None
