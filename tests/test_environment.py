"""What decides whether a result can be reused: another machine or another engine is another environment."""

import platform
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sweep import environment
from sweep.environment import (
    available_memory_bytes,
    environment_digest,
    environment_digests,
    environment_on,
    fingerprint,
    fingerprint_digest,
)
from sweep.gpus import Gpu
from sweep.results.environments import hardware

ARM = """processor	: {number}
BogoMIPS	: 50.00
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: {variant}
CPU part	: {part}
CPU revision	: 1
"""


def cpu(board, *cores):
    text = "\n".join(ARM.format(number=n, variant=v, part=p) for n, (v, p) in enumerate(cores))
    return environment._cpu_name(text, board)


def test_an_arm_board_has_a_name_of_its_own():
    """Its /proc/cpuinfo has no model name: two boards must not share their results."""
    assert cpu("Raspberry Pi 5", ("0x4", "0xd0b")) == "Raspberry Pi 5, 0x41/0xd0b/0x4/1"
    names = {
        cpu("", ("0x4", "0xd0b")),
        cpu("", ("0x3", "0xd0c")),
        cpu("", ("0x4", "0xd0b"), ("0x3", "0xd0c")),
        cpu("Raspberry Pi 5", ("0x4", "0xd0b")),
    }
    assert len(names) == 4
    assert environment._cpu_name("processor : 0\nmodel name : Some CPU @ 2 GHz\n", "board") == "Some CPU @ 2 GHz"


X86 = """processor	: 0
vendor_id	: AuthenticAMD
cpu family	: 25
model		: {model}
model name	: AMD EPYC
stepping	: 1
flags		: fpu sse sse4_1 fma avx avx2 f16c smep{more}

processor	: 1
model		: 99
flags		: avx
"""


def test_cpus_of_one_name_do_not_share_their_results():
    """A virtual machine may hide what its CPU is; which kernels an engine has, and how fast they are, it cannot."""
    old, new = X86.format(model=1, more=""), X86.format(model=17, more=" avx512f avx512_vnni")
    assert environment._cpu_name(old, "") == environment._cpu_name(new, "")
    assert environment._cpu_version(old) == "25/1/1"
    assert environment._cpu_version(new) == "25/17/1"
    assert environment._cpu_features(old) == ["avx", "avx2", "f16c", "fma", "sse4_1"]
    assert set(environment._cpu_features(new)) - set(environment._cpu_features(old)) == {"avx512_vnni", "avx512f"}
    for key in ("cpu_version", "cpu_features"):
        assert fingerprint_digest(fingerprint()) != fingerprint_digest({**fingerprint(), key: "another"})


@pytest.mark.parametrize(
    ("machine", "features", "fast"),
    [
        ("x86_64", ["avx", "avx2"], False),
        ("x86_64", ["avx2", "avx512f"], False),
        ("x86_64", ["avx2", "avx_vnni"], True),
        ("x86_64", ["avx512_vnni"], True),
        ("x86_64", ["sse4_1"], False),
        ("AMD64", [], False),  # where there is no /proc/cpuinfo, nobody knows: the exact kernels
        ("aarch64", ["asimd"], True),
    ],
)
def test_int8_is_slow_on_x86_without_vnni(monkeypatch, machine, features, fast):
    monkeypatch.setattr(environment, "fingerprint", lambda: {"machine": machine, "cpu_features": features})
    assert environment.has_fast_int8() is fast


def test_features_of_arm_cpus():
    text = "processor : 0\nFeatures : fp asimd aes asimddp sve i8mm bf16\nCPU part : 0xd40\n"
    assert environment._cpu_features(text) == ["asimd", "asimddp", "bf16", "i8mm", "sve"]
    assert environment._cpu_version(text) == ""


@pytest.mark.skipif(platform.system() != "Linux", reason="/proc/cpuinfo is Linux's")
def test_features_of_this_cpu():
    assert fingerprint()["cpu_features"]


@pytest.fixture
def installed(monkeypatch):
    """Set what is installed: `installed({"numpy": "2.0"}, plugins=["acme-engine"])`; return the packages found."""

    def install(versions, plugins=()):
        found = [SimpleNamespace(name=name, version=version) for name, version in versions.items()]
        monkeypatch.setattr(environment, "distributions", lambda: found)
        points = [SimpleNamespace(dist=SimpleNamespace(name=name)) for name in plugins]
        monkeypatch.setattr(environment, "entry_points", lambda group: points if group == "sweep.backends" else [])
        return environment._packages()

    return install


def test_a_plugins_version_counts(installed):
    """A backend of somebody else's that was updated gives other results."""
    versions = {"numpy": "2.0", "Acme_Engine": "1.0", "unrelated": "3"}
    assert installed(versions) == {"numpy": "2.0"}
    assert installed(versions, plugins=["acme-engine"]) == {"numpy": "2.0", "acme-engine": "1.0"}


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "tensorrt_cu12"])
def test_every_package_of_an_engine_counts(installed, name):
    assert installed({name: "1.2"}) == {name.replace("_", "-"): "1.2"}


def test_the_digest_is_of_what_changes_results():
    machine = fingerprint()
    digest = fingerprint_digest(machine)
    assert fingerprint_digest({**machine, "hostname": "elsewhere"}) == digest
    assert fingerprint_digest({**machine, "packages": {**machine["packages"], "onnxruntime": "0"}}) != digest
    assert fingerprint_digest({**machine, "cpu": "another"}) != digest


@pytest.mark.parametrize("key", ["cpu_quota", "cpu_affinity", "gpus", "machine", "sweep", "cpu_cores", "cpu_threads"])
def test_each_part_of_the_machine_counts(key):
    machine = fingerprint()
    assert fingerprint_digest({**machine, key: "another"}) != fingerprint_digest(machine)


H100 = Gpu(0, "GPU-1", "NVIDIA H100", "580.1", "81559 MiB", "9.0", "700.00 W", "Enabled", "Disabled", "Enabled")


def test_the_environment_of_a_trial_on_a_gpu_has_that_gpu_alone():
    environment = environment_on(H100)
    (gpu,) = environment["gpus"]
    assert (gpu["uuid"], gpu["index"], gpu["power_limit"]) == ("GPU-1", 0, "700.00 W")
    assert "gpu_packages" not in fingerprint()
    assert {**environment, "gpus": [], "gpu_packages": None} == {**fingerprint(), "gpus": [], "gpu_packages": None}


def test_what_nvidias_libraries_are_told_and_which_they_are_makes_another_trial_on_a_gpu(monkeypatch):
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    before = environment_on(H100)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert fingerprint_digest(environment_on(H100)) != fingerprint_digest(before)
    newer = {**before, "gpu_packages": {"nvidia-cudnn-cu13": "9.99"}}
    assert fingerprint_digest(newer) != fingerprint_digest(before)


@pytest.mark.parametrize("change", [{"uuid": "GPU-2"}, {"index": 3}, {"persistence": "Disabled"}])
def test_a_like_gpu_makes_the_same_trial(change):
    """Else a grid that ran on the first of eight would be measured once more on the second."""
    assert environment_digest(replace(H100, **change)) == environment_digest(H100)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "NVIDIA A100"},
        {"driver": "590.1"},
        {"memory": "40960 MiB"},
        {"power_limit": "350.00 W"},
        {"ecc": "Disabled"},
        {"mig": "Enabled"},
        {"name": "NVIDIA H100 MIG 1g.10gb"},
    ],
)
def test_another_product_or_setting_makes_another_trial(change):
    assert environment_digest(replace(H100, **change)) != environment_digest(H100)


def test_records_of_the_cpu_stay_found():
    """Their digest is the one that they were stored under, before a trial had a GPU of its own."""
    old = {"cpu": "c", "gpus": [{"name": "NVIDIA H100", "driver": "580.1", "memory": "81559 MiB"}], "hostname": "h"}
    assert fingerprint_digest(old) == "5e1035103513771829e392daa6e7d590b31b50b85d37ce8945bd8e0f8a454522"
    assert environment_digests(None)[0] == environment_digest(None)
    assert fingerprint_digest(fingerprint()) in environment_digests(None)
    assert environment_digests(H100) == (environment_digest(H100),)


@pytest.fixture
def machine(monkeypatch):
    """Set what is installed and which GPUs there are; return the digests of a trial on the CPU and of one on a GPU."""

    def install(gpus=(), **versions):
        found = [SimpleNamespace(name=name, version=version) for name, version in versions.items()]
        monkeypatch.setattr(environment, "distributions", lambda: found)
        monkeypatch.setattr(environment, "gpus", lambda: gpus)
        return environment_digest(None), environment_digest(H100)

    monkeypatch.setattr(environment, "fingerprint", fingerprint.__wrapped__)  # read anew each time
    return install


PLAIN = {"numpy": "2.0", "onnxruntime": "1.32", "mlcommons-loadgen": "5.1"}


@pytest.mark.parametrize(
    "name",
    [
        *("cuda-python", "cuda_python", "tensorrt", "tensorrt_cu12", "tensorrt-cu13-libs", "tensorrt_rtx"),
        *(
            "tensorrt-lean-cu12",
            "onnxruntime-extensions",
            "onnxruntime-genai",
            "onnxruntime-genai-cuda",
            "nvidia-cudnn-cu12",
        ),
    ],
)
def test_what_only_a_gpu_uses_makes_no_other_trial_on_the_cpu(machine, name):
    """Fails where all that was measured on the CPU is measured again because of an engine that it does not use."""
    cpu, gpu = machine(**PLAIN)
    for version in ("1.0", "2.0"):
        after, other = machine(**PLAIN, **{name: version})
        assert (after, other == gpu) == (cpu, False)
    assert machine(gpus=(H100,), **PLAIN)[0] == cpu
    assert machine(gpus=(replace(H100, driver="600.1"),), **PLAIN)[0] == cpu


@pytest.mark.parametrize("name", ["numpy", "onnxruntime", "mlcommons-loadgen"])
def test_what_a_test_on_the_cpu_uses_makes_another_trial(machine, name):
    assert machine(**{**PLAIN, name: "9"})[0] != machine(**PLAIN)[0]


@pytest.mark.parametrize("name", ["onnxruntime-gpu", "onnxruntime_openvino"])
def test_another_build_of_the_engine_makes_another_trial_on_the_cpu(machine, name):
    assert machine(**PLAIN, **{name: "1.32"})[0] != machine(**PLAIN)[0]


def test_a_record_from_before_is_found_again(tmp_path, simulated, searches):
    """Fails where an update has everything on the CPU of a machine with GPUs measured again."""
    from sweep.store.records import Store
    from sweep.study.measure import Bench
    from sweep.trial.executor import Executor, Timeouts
    from sweep.trial.interrupts import InterruptGate

    test = searches.test(4).outcome.stored.result
    before = {**fingerprint(), "gpus": [{"name": "NVIDIA H100", "driver": "580.1", "memory": "81559 MiB"}]}
    store = Store(tmp_path / "outputs")
    attempt = store.begin(test.spec, fingerprint_digest(before))
    old = replace(test, environment=before, environment_digest=fingerprint_digest(before))
    stored = store.finish(attempt, old)
    bench = Bench(store, Executor(Timeouts(1, 1)), InterruptGate(), resume=True)
    assert bench.newest(test.spec) is None  # of another machine
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "fingerprint", lambda: before)
        assert bench.newest(test.spec).stored == stored
        assert bench.unused(test.spec, ()).stored == stored


def test_what_a_broken_upgrade_leaves_behind_is_passed_over(installed):
    assert installed({None: None, "numpy": "2.0"}, plugins=[None]) == {"numpy": "2.0"}


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Have this process in the group /outer/inner of both versions of control groups; return a writer of limits."""
    (tmp_path / "own").write_text("3:cpu,cpuacct:/outer/inner\n1:name=systemd:/\n0::/outer/inner\n")
    monkeypatch.setattr(environment, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(environment, "_CGROUPS", tmp_path / "fs")

    def write(path, text):
        path = tmp_path / "fs" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    return write


def test_no_control_group_no_limit(groups):
    assert environment._cpu_quota() is None
    assert available_memory_bytes() > 10**8


def test_the_tightest_quota_of_all_groups_counts(groups):
    groups("outer/inner/cpu.max", "max 100000")
    groups("outer/cpu.max", "150000 100000")
    assert environment._cpu_quota() == 1.5
    groups("cpu/outer/cpu.cfs_quota_us", "-1")
    groups("cpu/outer/cpu.cfs_period_us", "100000")
    assert environment._cpu_quota() == 1.5
    groups("cpu/outer/inner/cpu.cfs_quota_us", "50000")
    groups("cpu/outer/inner/cpu.cfs_period_us", "100000")
    assert environment._cpu_quota() == 0.5


def test_memory_of_a_control_group_is_less_than_the_machines(groups):
    groups("outer/memory.max", "1000000")
    groups("outer/memory.current", "700000")
    groups("outer/memory.stat", "anon 1\ninactive_file 100000")
    assert available_memory_bytes() == 400_000
    groups("outer/inner/memory.max", "max")
    groups("outer/inner/memory.current", "5")
    assert available_memory_bytes() == 400_000


def test_the_hardware_of_a_test_on_the_cpu_has_no_gpu_whenever_it_was_measured():
    """Fails where a gate on the CPU of a machine with GPUs misses all points of a baseline from before."""
    before = {**fingerprint(), "gpus": [{"name": "NVIDIA H100", "driver": "580.1", "memory": "81559 MiB"}]}
    assert hardware(before) == hardware(environment_on(None))
    assert hardware(environment_on(H100))["gpus"][0]["name"] == "NVIDIA H100"
    imported = {"platform": "somebody's", "gpus": [{"name": "NVIDIA H100"}]}
    assert hardware(imported)["gpus"][0]["name"] == "NVIDIA H100"
