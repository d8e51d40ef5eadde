"""What doctor says of GPUs, whatever is installed: each line names what to do."""

from types import SimpleNamespace

import pytest
from tests.gpus import card

from sweep.backends.trt import flavours
from sweep.backends.trt.flavours import INT8_IS_SLOW
from sweep.commands import doctor_gpus
from sweep.commands.doctor_gpus import examine_gpus

REQUIRES = [
    "numpy>=1.26",
    'tensorrt>=10.3; extra == "tensorrt"',
    'mlperf-sweep[cuda-runtime] ; extra == "tensorrt"',
    "cuda-python>=12.6 ; extra == 'cuda-runtime'",
    'tensorrt_rtx>=1.1 ; python_version < "3.14" and extra == "tensorrt-rtx"',
    'mlperf-sweep[cuda-runtime]; extra == "tensorrt-rtx"',
    'onnxruntime-gpu[cuda,cudnn]>=1.20; extra == "cuda"',
]


@pytest.fixture
def doctor(gpu_machine, monkeypatch):
    """Examine a machine with those cards and packages; return the findings by topic and name."""
    monkeypatch.setattr(doctor_gpus, "requires", lambda _: REQUIRES)

    def run(*cards, installed=(), **variables):
        gpu_machine(*cards)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(doctor_gpus, "installed_version", dict(installed).get)
        return {f"{one.topic} {one.name}": one for one in examine_gpus()}

    return run


def test_each_gpu_is_a_line(doctor):
    found = doctor(card(0), card(1, name="NVIDIA A100", **{"compute_cap": "8.0", "power.limit": "[N/A]"}))
    line = "NVIDIA H100, driver 580.95.05, 81559 MiB, compute capability 9.0, power limit 700.00 W"
    assert found["gpu 0"].detail == line
    assert found["gpu 1"].detail == "NVIDIA A100, driver 580.95.05, 81559 MiB, compute capability 8.0"
    assert "machine gpu" not in found


def test_no_gpu_is_a_line_too(doctor):
    found = doctor()
    assert (found["machine gpu"].detail, found["machine gpu"].fix) == ("no NVIDIA GPU found", "the CPU is used")
    assert "gpu driver" not in found
    assert found["extra cuda"].detail.endswith("of no use without a GPU")
    assert found["extra tensorrt-rtx"].detail.endswith("builds engines, which cannot be run here: there is no GPU")


def test_gpus_that_are_hidden_are_counted(doctor):
    found = doctor(card(0), card(1), CUDA_VISIBLE_DEVICES="1")
    assert found["gpu visible"].detail == "CUDA_VISIBLE_DEVICES=1 shows 1 of 2"
    assert "gpu 1" not in found
    found = doctor(card(0), CUDA_VISIBLE_DEVICES="")
    assert (found["gpu visible"].fine, found["gpu visible"].fix) == (False, "unset CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("driver", "fine", "detail"),
    [
        ("580.95.05", True, "580.95.05 runs CUDA 12 and CUDA 13"),
        ("550.54", True, "550.54 runs CUDA 12, is too old for CUDA 13, which needs 580"),
        ("470.1", False, "470.1 is too old for CUDA 12, which needs 525 and CUDA 13, which needs 580"),
        ("beta", False, "beta: no version that says what it can run"),
    ],
)
def test_what_the_driver_is_new_enough_for(doctor, driver, fine, detail):
    found = doctor(card(0, driver=driver))["gpu driver"]
    assert (found.fine, found.detail) == (fine, detail)
    assert found.fix == ("update it" if "too old" in detail else "")


def test_what_of_an_extra_is_missing(doctor):
    found = doctor(card(0), installed={"tensorrt": "10.13"})["extra tensorrt"]
    assert not found.fine
    detail = "tensorrt 10.13; cuda-python missing; builds TensorRT engines and runs them on GPU 0"
    assert (found.detail, found.fix) == (detail, "pip install 'mlperf-sweep[tensorrt]'")
    found = doctor(card(0), installed={"tensorrt-cu12": "10.9", "cuda-python": "12.9"})["extra tensorrt"]
    assert found.fine
    assert found.detail.startswith("tensorrt-cu12 10.9; cuda-python 12.9; ")
    found = doctor(card(0), card(1), installed={"onnxruntime-gpu": "1.23"})["extra cuda"]
    assert (found.fine, found.detail, found.fix) == (True, "onnxruntime-gpu 1.23; runs ONNX Runtime on GPU 0, 1", "")


@pytest.mark.parametrize(
    ("capability", "words"),
    [
        ("7.5", f"builds engines and runs them on GPU 0; {INT8_IS_SLOW}"),
        ("8.9", f"builds engines and runs them on GPU 0; {INT8_IS_SLOW}"),
        ("12.0", f"builds engines and runs them on GPU 0; {INT8_IS_SLOW}"),
        ("7.0", "builds engines, which cannot be run here: it runs on no GPU of compute capability 7.0"),
        ("9.0", "builds engines, which cannot be run here: it runs on no GPU of compute capability 9.0"),
        ("[N/A]", "builds engines, which cannot be run here: it runs on no GPU of compute capability unknown"),
    ],
)
def test_tensorrt_for_rtx_does_not_run_everywhere(doctor, capability, words):
    found = doctor(card(0, compute_cap=capability), installed={"tensorrt_rtx": "1.1", "cuda-python": "13.0"})
    assert found["extra tensorrt-rtx"].detail == f"tensorrt_rtx 1.1; cuda-python 13.0; {words}"
    assert found["extra tensorrt-rtx"].fine


@pytest.mark.parametrize(
    ("installed", "capability", "words"),
    [
        ({"tensorrt": "10.7.0"}, "12.0", "tensorrt 10.7.0 does not support NVIDIA H100, of compute capability 12.0"),
        ({"tensorrt": "10.9.0"}, "12.0", "builds TensorRT engines and runs them on GPU 0"),
        ({}, "7.0", "tensorrt does not support NVIDIA H100, of compute capability 7.0"),
        ({"tensorrt-cu13": "11.4"}, "7.0", "tensorrt does not support NVIDIA H100, of compute capability 7.0"),
    ],
)
def test_doctor_refuses_what_the_flavour_refuses(doctor, installed, capability, words):
    """One table: doctor must not promise what every trial then fails with."""
    found = doctor(card(0, compute_cap=capability), installed=installed)
    assert found["extra tensorrt"].detail.endswith(words)
    if capability == "7.0":
        assert "pip install" not in found["extra tensorrt"].fix  # what it would bring is refused as well


def test_gpus_that_onnx_runtimes_cuda_leaves_out_are_not_counted(doctor, monkeypatch):
    cards = card(0, compute_cap="7.0"), card(1, compute_cap="9.0")
    installed = {"onnxruntime-gpu": "1.31"}
    for cuda, words in (("12.8", "runs ONNX Runtime on GPU 0, 1"), ("13.0", "runs ONNX Runtime on GPU 1")):
        monkeypatch.setattr(doctor_gpus, "onnxruntime_build", lambda cuda=cuda: ("onnxruntime-gpu", cuda))
        assert doctor(*cards, installed=installed)["extra cuda"].detail.endswith(words)
    detail = doctor(cards[0], installed=installed)["extra cuda"].detail
    fix = doctor(cards[0], installed=installed)["extra cuda"].fix
    assert "<1.27" in fix
    assert detail.endswith("onnxruntime-gpu of CUDA 13 does not support NVIDIA H100, of compute capability 7.0")


@pytest.mark.parametrize(
    ("about", "old"),
    [({}, False), ({"driver": "570.1"}, True), ({"compute_cap": "7.0"}, True), ({"compute_cap": "[N/A]"}, False)],
)
def test_onnx_runtime_for_cuda_is_one_that_runs_here(doctor, monkeypatch, about, old):
    """Or who does as doctor says is told the next thing to do, and the next."""
    monkeypatch.setattr(doctor_gpus, "onnxruntime_build", lambda: ("onnxruntime", ""))
    assert ("'onnxruntime-gpu<1.27'" in doctor(card(0, **about))["extra cuda"].fix) is old


def test_two_builds_of_tensorrt_clash(doctor, monkeypatch):
    names = ("tensorrt-cu12", "tensorrt-cu13")
    monkeypatch.setattr(flavours, "distributions", lambda: [SimpleNamespace(name=name) for name in names])
    found = doctor()["package tensorrt"]
    assert not found.fine
    assert found.fix.startswith("pip uninstall -y tensorrt-cu12 tensorrt-cu13, then ")


def test_an_installation_from_before_an_extra_says_so(doctor, monkeypatch):
    monkeypatch.setattr(doctor_gpus, "requires", lambda _: None)
    assert doctor()["extra cuda"].detail == "this installation of sweep does not know it"


@pytest.mark.parametrize(
    ("build", "fine"), [(("onnxruntime-gpu", "13.0"), True), (("onnxruntime", ""), False), (("", ""), False)]
)
def test_of_two_builds_of_onnx_runtime_the_one_that_is_there_counts(doctor, monkeypatch, build, fine):
    monkeypatch.setattr(doctor_gpus, "onnxruntime_build", lambda: build)
    assert "package onnxruntime" not in doctor(installed={"onnxruntime": "1.23"})
    found = doctor(installed={"onnxruntime": "1.23", "onnxruntime-gpu": "1.22"}).get("package onnxruntime")
    assert (found is None) is fine
    if found is not None:
        assert not found.fine
        assert "--force-reinstall --no-deps onnxruntime-gpu" in found.fix


def test_packages_that_speak_to_the_driver(doctor):
    found = doctor(installed={"cuda-bindings": "12.9"})
    assert found["package cuda"].fine
    assert (found["package pynvml"].fine, found["package pynvml"].fix) == (False, "pip install nvidia-ml-py")
