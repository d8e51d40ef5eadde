"""Which GPUs there are and which of them a process may use: a test on another one than was meant is worth nothing."""

import os

import pytest
from tests.gpus import card, install_smi

from sweep import gpus as module
from sweep.gpus import driver_major, gpus, visible_gpus

A, B, C = ("GPU-aaaa1111", "GPU-bbbb2222", "GPU-bbcc3333")


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Put an nvidia-smi on PATH."""

    def install(*cards, refused=()):
        tool = install_smi(tmp_path, cards, refused)
        monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
        gpus.cache_clear()
        module._list.cache_clear()
        return tool

    yield install
    gpus.cache_clear()
    module._list.cache_clear()


def test_a_card_and_how_it_is_set(smi):
    smi(card(0, uuid=A), card(1, uuid=B, **{"power.limit": "[N/A]", "compute_cap": "[Not Supported]"}))
    first, second = gpus()
    assert (first.index, first.uuid, first.name, first.driver) == (0, A, "NVIDIA H100", "580.95.05")
    assert (first.memory, first.compute_capability, first.power_limit) == ("81559 MiB", "9.0", "700.00 W")
    assert (first.ecc, first.mig, first.persistence) == ("Enabled", "Disabled", "Enabled")
    assert (second.power_limit, second.compute_capability, second.uuid) == ("", "", B)


@pytest.mark.parametrize("refused", [["mig.mode.current"], ["mig.mode.current", "compute_cap"]])
def test_an_old_driver_that_knows_fewer_fields_still_names_its_cards(smi, refused):
    """It answers a question with one field that it does not know with nothing but that."""
    smi(card(0, uuid=A), refused=refused)
    (gpu,) = gpus()
    assert (gpu.uuid, gpu.power_limit) == (A, "")
    assert gpu.compute_capability == ("" if "compute_cap" in refused else "9.0")


def test_a_driver_that_does_not_answer_shows_none(smi):
    tool = smi()
    assert gpus() == ()
    gpus.cache_clear()
    tool.write_text(
        "#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9\n"
    )
    assert gpus() == ()


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, [A, B, C]),
        ("0,1,2", [A, B, C]),
        ("2,0", [C, A]),
        (f"{B}, {A}", [B, A]),
        ("GPU-aa,GPU-bbc", [A, C]),
        ("GPU-bb", []),  # two of them
        ("0,7,1", [A]),  # as CUDA: nothing counts after the first that names none
        ("1,-1,0", [B]),
        ("0,0,1", [A]),
        (f"0,{A}", [A]),
        ("", []),
        ("NoDevFiles", []),
        ("1,", [B]),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(smi, visible, found):
    smi(card(0, uuid=A), card(1, uuid=B), card(2, uuid=C))
    seen = visible_gpus(visible)
    assert [gpu.uuid for gpu in seen] == found
    assert [gpu.index for gpu in seen] == list(range(len(found)))


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["MIG-1", "MIG-2", B]),
        ("0", ["MIG-1"]),
        (A, ["MIG-1"]),
        ("MIG-2", ["MIG-2"]),
        ("MIG-2,1", ["MIG-2", B]),
        ("MIG-7", []),
    ],
)
def test_a_card_in_mig_mode_is_its_instances(smi, visible, found):
    instances = [("1g.10gb", "MIG-1"), ("3g.40gb", "MIG-2")]
    smi(card(0, uuid=A, instances=instances, **{"mig.mode.current": "Enabled"}), card(1, uuid=B))
    seen = visible_gpus(visible)
    assert [gpu.uuid for gpu in seen] == found
    names = {gpu.uuid: gpu.name for gpu in seen}
    assert names.get("MIG-2", "NVIDIA H100 MIG 3g.40gb") == "NVIDIA H100 MIG 3g.40gb"


@pytest.mark.parametrize(("driver", "major"), [("580.95.05", 580), ("575", 575), ("", None), ("N/A", None)])
def test_the_first_number_of_a_driver(driver, major):
    assert driver_major(driver) == major
