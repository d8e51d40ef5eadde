"""The key `device`: a wrong one is one line that lists the right ones."""

import pytest
from tests.gpus import card

from sweep.config.device import notes_on_search, read_device
from sweep.config.fields import Fields


class OnGpu:
    name = "theirs"
    uses_gpu = True


class OnCpu:
    name = "own"
    uses_gpu = False


@pytest.fixture
def machine(gpu_machine):
    return gpu_machine(card(0), card(1), card(2, name="NVIDIA A100"))


def read(value, backend=OnGpu, overrides=()):
    fields, notes = Fields({"device": value}), []
    found = read_device(fields, backend, overrides, notes)
    return [gpu.index for gpu in found], [str(problem) for problem in fields.problems], notes


@pytest.mark.parametrize(("value", "found"), [(0, [0]), (2, [2]), ([1], [1]), ([2, 0], [2, 0]), ("all", [0, 1, 2])])
def test_an_index_a_list_or_all(machine, value, found):
    assert read(value) == (found, [], [])


KINDS = "must be the number of a GPU, a list of numbers, or all; for example device=0, device=[0,1] or device=all"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (3, "device=3: there is no GPU 3; choose one of: 0 (NVIDIA H100), 1 (NVIDIA H100), 2 (NVIDIA A100)"),
        (-1, "device=-1: there is no GPU -1; choose one of: 0 (NVIDIA H100), 1 (NVIDIA H100), 2 (NVIDIA A100)"),
        ([0, 5], "device=[0, 5]: there is no GPU 5; choose one of: "),
        ("first", f"device=first: {KINDS}"),
        (True, f"device=true: {KINDS}"),
        (0.5, f"device=0.5: {KINDS}"),
        (None, f"device=null: {KINDS}"),
        ([["0"]], f"device=[[0]]: {KINDS}"),
        ("0,1", "device=0,1: must be the number of a GPU, a list of numbers, or all; a list is device=[0,1]"),
        ([], "device=[]: names no GPU; for example device=0, device=[0,1] or device=all"),
        ([1, 0, 1], "device=[1, 0, 1]: names GPU 1 more than once; name each one once"),
    ],
)
def test_anything_else_is_one_line(machine, value, line):
    found, problems, _ = read(value)
    assert found == []
    assert len(problems) == 1
    assert problems[0].startswith(line)


def test_cuda_visible_devices_sets_what_is_counted(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"2,{machine[0].uuid}")
    (first, second), _, _ = read("all")
    assert (first, second) == (0, 1)
    assert "there is no GPU 2; CUDA_VISIBLE_DEVICES shows no more; choose one of: 0 (NVIDIA A100)" in read(2)[1][0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert read(0)[1] == ["device=0: CUDA_VISIBLE_DEVICES= shows no GPU; unset it, or name GPUs of nvidia-smi -L in it"]


def test_a_machine_without_a_gpu(gpu_machine):
    gpu_machine()
    assert read("all") == ([], ["device=all: nvidia-smi shows no GPU; a backend for the CPU needs none"], [])


def test_a_backend_for_the_cpu_reads_none_and_says_so_where_one_was_asked_for():
    assert read(7, OnCpu, ["batch=8"]) == ([], [], [])
    assert read(7, OnCpu, ["batch=8", "device=7"]) == ([], [], ["device=7 is not read: backend own runs on the CPU"])
    assert read("x", OnCpu) == ([], [], [])


def test_a_search_that_was_given_a_pool_says_where_it_runs(machine):
    assert notes_on_search(machine[:1]) == notes_on_search(()) == ()
    (note,) = notes_on_search(machine[1:])
    assert note.endswith("all of them on GPU 1 (NVIDIA H100)")
