"""Machines in words: what sets two apart, those first that make their results incomparable."""

from sweep.results.environments import describe, differences, hardware

MACHINE = {
    "cpu": "EPYC",
    "cpu_cores": 2,
    "cpu_features": ["avx2", "fma"],
    "gpus": [{"name": "H100", "uuid": "GPU-1", "power_limit": 700}],
    "packages": {"onnxruntime": "1.20"},
    "hostname": "one",
    "git": "abc",
    "sweep": "0.1.0",
}


def changed(**changes):
    return {**MACHINE, **changes}


def test_a_machine_is_one_line():
    assert describe(MACHINE) == "EPYC, 2 cores, H100, onnxruntime 1.20, sweep 0.1.0, commit abc"
    assert describe({}) == "unknown CPU, sweep"
    assert describe({"machine": "arm64", "gpus": [{}, 5], "packages": None}) == "arm64, GPU, sweep"


def test_equal_machines_differ_in_nothing():
    assert differences(MACHINE, dict(MACHINE)) == ()


def test_what_decides_comes_before_what_is_noted():
    other = changed(hostname="two", packages={"onnxruntime": "1.21"}, git=None)
    assert differences(MACHINE, other) == (
        "packages.onnxruntime: 1.20 -> 1.21",
        "hostname: one -> two (noted)",
        "git: abc -> none (noted)",
    )


def test_which_of_like_cards_it_was_does_not_decide():
    twin = changed(gpus=[{"name": "H100", "uuid": "GPU-2", "power_limit": 700}])
    assert differences(MACHINE, twin) == ("gpus.0.uuid: GPU-1 -> GPU-2 (noted)",)
    slower = changed(gpus=[{"name": "H100", "uuid": "GPU-1", "power_limit": 350}])
    assert differences(MACHINE, slower) == ("gpus.0.power_limit: 700 -> 350",)


def test_lists_and_cards_that_are_gone_are_told():
    assert differences(MACHINE, changed(cpu_features=["avx2"])) == ("cpu_features: avx2 fma -> avx2",)
    assert "gpus.0.name: H100 -> none" in differences(MACHINE, changed(gpus=[]))


def test_hardware_is_what_no_installation_changes():
    assert hardware(MACHINE) == hardware(changed(packages={}, hostname="two", git="def"))
    assert hardware(MACHINE) != hardware(changed(cpu_cores=4))
