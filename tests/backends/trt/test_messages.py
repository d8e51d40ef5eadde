"""What TensorRT says becomes one line, and is not lost."""

import pytest

from sweep.backends.trt.flavours import RTX, load
from sweep.backends.trt.messages import Messages
from sweep.backends.trt.parser import parse
from sweep.errors import BackendError


def test_errors_are_joined_in_one_line_and_repetitions_left_out():
    messages = Messages()
    for text in (
        "first\n  of all",
        "first of all",
        "[checkMacros.cpp::catchCudaError::250] Error",
        "second",
        "first of all",
    ):
        messages.add(text, error=True)
    messages.add("a warning", error=False)
    assert messages.reason() == "first of all; second"
    messages.clear()
    assert messages.reason("nothing") == "nothing"
    assert list(messages.warnings) == ["a warning"]


def test_what_is_said_is_in_the_workers_log_and_shortened_only_in_the_message(capsys):
    messages = Messages()
    messages.add("x" * 1000, error=True)
    messages.add("y", error=False)
    assert len(messages.reason()) == 400
    assert capsys.readouterr().err.endswith("TensorRT warning: y\n")


@pytest.mark.parametrize(
    "text",
    [
        "Error Code 2: OutOfMemory (Requested size was 17936828 bytes.)",
        "Error Code 1: Cuda Runtime (out of memory)",
        "Cuda Runtime (In x at y.cpp:25 (cudaError 2: out of memory))",
    ],
)
def test_memory_that_ran_out_is_told_from_everything_else(text):
    messages = Messages()
    messages.add("Error Code 1: Cuda Runtime (cudaError 209: no kernel image)", error=True)
    assert not messages.out_of_memory
    messages.add(text, error=True)
    assert messages.out_of_memory


NO_KERNEL = (
    "IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not find any implementation for node"
)


@pytest.mark.parametrize(
    "warning",
    [
        "Skipping tactic 0x2 due to insufficient memory on requested size of 4096 detected for tactic 0x2.",
        "Tactic Device request: 5120MB Available: 2048MB. Device memory is insufficient to use tactic.",
        "UNSUPPORTED_STATE: Skipping tactic 0 due to insufficient memory on requested size of 8589934592",
        "There may not be enough free memory for allocation to succeed.",
    ],
)
def test_a_builder_that_had_no_room_to_try_its_kernels_is_out_of_memory(warning):
    """A search reads any other failure as an engine that cannot be had."""
    messages = Messages()
    messages.add(NO_KERNEL, error=True)
    assert not messages.out_of_memory
    messages.add(warning, error=False)
    assert messages.out_of_memory
    messages.clear()
    messages.add(NO_KERNEL, error=True)
    assert not messages.out_of_memory, "a warning of an earlier build"


def test_an_error_with_a_cause_of_its_own_is_not_memory():
    messages = Messages()
    messages.add("Skipping tactic 0x2 due to insufficient memory on requested size of 4096", error=False)
    messages.add("Error Code 4: Internal Error (network has unsupported data type)", error=True)
    assert not messages.out_of_memory


def test_a_second_error_while_the_first_is_looked_at_is_not_lost(rtx, tmp_path):
    """TensorRT ignores a new logger while an object of the old one is alive, as in the traceback of an error."""
    kept = []
    for name in ("one", "two"):
        with pytest.raises(BackendError, match=f"{name}.onnx") as raised:
            parse(rtx, tmp_path / f"{name}.onnx")
        kept.append(raised)
    assert not any("logger" in warning for warning in rtx.messages.warnings)


def test_there_is_one_of_each_flavour(rtx):
    assert load(RTX) is rtx
