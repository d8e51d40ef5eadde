"""GPUs that are not there: a driver's tool that names them, and a backend that says which one it was given."""

import json
import os
import sys

SMI = """\
#!{python}
import json, sys
cards, log, refused = json.loads({cards!r}), {log!r}, {refused!r}
with open(log, "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "-L":
    for card in cards:
        print(f"GPU {{card['index']}}: {{card['name']}} (UUID: {{card['uuid']}})")
        for place, (profile, uuid) in enumerate(card.get("instances", [])):
            print(f"  MIG {{profile}}     Device  {{place}}: (UUID: {{uuid}})")
    sys.exit()
fields = sys.argv[1].partition("=")[2].split(",")
if set(fields) & set(refused):
    print(f'Field "{{fields[-1]}}" is not a valid field to query.')
    sys.exit(2)
for card in cards:
    print(", ".join(str(card.get(field, "[N/A]")) for field in fields))
"""

BACKEND = '''\
"""A GPU backend for tests: the simulated engine, which says what it was given."""

import os
import time

from sweep.backends.simulated import SimulatedBackend

made = 0


class FakeGpu(SimulatedBackend):
    name = "fake_gpu"
    uses_gpu = True
    reusable = True
    engine_depends_on_query = False

    def __enter__(self):
        global made
        made += 1
        self.entered = time.time()
        return super().__enter__()

    def facts(self):
        keys = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES")
        given = {key: os.environ.get(key) for key in keys}
        return {"made": made, "entered": self.entered, "asked": time.time(), **given}


class PerQuery(FakeGpu):
    name = "fake_gpu_per_query"
    engine_depends_on_query = True
'''


def card(index, name="NVIDIA H100", memory="81559 MiB", driver="580.95.05", **more):
    """Return what nvidia-smi knows of one card."""
    return {
        "index": index,
        "uuid": f"GPU-{index:08x}-{os.getpid():04x}",
        "name": name,
        "driver_version": driver,
        "memory.total": memory,
        "compute_cap": "9.0",
        "power.limit": "700.00 W",
        "ecc.mode.current": "Enabled",
        "mig.mode.current": "Disabled",
        "persistence_mode": "Enabled",
        **more,
    }


def install_smi(folder, cards, refused=()):
    """Write an nvidia-smi into a folder, with a log of its calls beside it; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    tool = folder / "nvidia-smi"
    log = str(folder / "calls.log")
    tool.write_text(SMI.format(python=sys.executable, cards=json.dumps(cards), log=log, refused=list(refused)))
    tool.chmod(0o755)
    return tool


def install_backends(folder):
    """Write a distribution with GPU backends into a folder, to be put on PYTHONPATH."""
    meta = folder / "fake_gpu-1.0.dist-info"
    meta.mkdir(parents=True, exist_ok=True)
    (folder / "fake_gpu.py").write_text(BACKEND)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-gpu\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text(
        "[sweep.backends]\nfake_gpu = fake_gpu:FakeGpu\nfake_gpu_per_query = fake_gpu:PerQuery\n"
    )
    return folder


def environment(folder, cards):
    """Return the variables with which a process sees those GPUs, those backends, and locks of its own."""
    tool = install_smi(folder / "bin", cards)
    plugins = install_backends(folder / "plugins")
    paths = [str(plugins), os.environ.get("PYTHONPATH", "")]
    return {
        "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "SWEEP_LOCKS": str(folder),
    }
