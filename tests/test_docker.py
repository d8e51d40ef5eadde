"""The container image, which nothing here builds: what can be known of it without a container engine."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from sweep.config.build import build
from sweep.config.hydra_app import run_hydra
from sweep.config.search import build_searches
from sweep.config.search_settings import asks_for_search

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
README = (DOCKER / "README.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

LINES = [line for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
IMAGE = "mlperf-sweep"

NOT_OURS_TO_SET = {
    "XDG_CACHE_HOME",  # SWEEP_CACHE is set, which wins
    "LD_LIBRARY_PATH",  # the image's own
    "HYDRA_FULL_ERROR",  # set, not read
    "COMP_LINE",  # the shell's, when Tab is typed
    "COMP_POINT",
}

LOOK_UPS = {"os.environ.get", "os.environ.setdefault", "os.getenv"}


def instructions(name):
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def variables(text):
    """Return the names of an environment file, with their values; None for one that is passed on."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {line.partition("=")[0]: line.partition("=")[2] if "=" in line else None for line in lines}


def read_by_sweep():
    """Return the variables that sweep looks up in its environment."""
    constants, keys = {}, []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                constants.update({getattr(target, "id", ""): node.value.value for target in node.targets})
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in LOOK_UPS:
                keys += node.args[:1]
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                keys.append(node.slice)
            elif isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "os.environ":
                keys.append(node.left)
    return {key.value if isinstance(key, ast.Constant) else constants[key.id] for key in keys}


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_has_what_sweep_asks_for():
    """By what the Dockerfile says of its image; an image that is too old, or of another CUDA, is refused here."""
    found = re.search(r"TensorRT (\S+), CUDA (\d+)\S* and Python ([\d.]+)", DOCKERFILE)
    tensorrt, cuda, python = found.groups()
    extra = {one.name: one for one in map(Requirement, PROJECT["optional-dependencies"]["tensorrt"])}
    assert Version(tensorrt) in extra["tensorrt"].specifier
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])
    pinned = {one.name: one for one in map(Requirement, re.findall(r'"([\w-]+>=[\w.,<]+)"', DOCKERFILE))}
    assert set(pinned) == set(extra) - {"tensorrt"}  # the image's own must not be replaced
    for name, requirement in pinned.items():
        assert {str(one) for one in extra[name].specifier} <= {str(one) for one in requirement.specifier}
    assert f"<{int(cuda) + 1}" in {str(one) for one in pinned["cuda-python"].specifier}


def test_the_image_is_pinned_and_the_readme_says_the_same_of_it():
    images = [line for line in instructions("FROM") if not line.startswith("base")]
    (tag,) = re.fullmatch(r"nvcr\.io/nvidia/tensorrt:(\d\d\.\d\d)-py3 AS base", images[0]).groups()
    assert len(images) == 1
    facts = re.search(r"TensorRT (\S+), CUDA (\S+) and Python (\d+\.\d+)", DOCKERFILE).groups()
    assert "({}: TensorRT {}, CUDA {}, Python {})".format(tag, *facts) in README


def test_the_builder_gets_what_is_copied_and_nothing_else():
    copied = [shlex.split(line) for line in instructions("COPY")]
    sources = {word for line in copied for word in line[:-1] if not word.startswith("--")}
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == sources
    assert "*" in lines
    for source in sources:
        assert (ROOT / source).exists(), source


def test_everything_that_a_wheel_is_made_of_is_copied():
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = whole["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {PROJECT["readme"], *PROJECT["license-files"], *wheel["packages"], *wheel["force-include"]}
    needed |= {path.resolve().relative_to(ROOT).as_posix() for path in (ROOT / "conf").iterdir() if path.is_symlink()}
    copied = {word for line in instructions("COPY") for word in shlex.split(line)[:-1]}
    assert {name.split("/")[0] for name in needed} <= copied


def test_nobody_is_root_and_mounts_have_their_places():
    assert instructions("USER") == ["$SWEEP_UID:$SWEEP_GID"]
    assert instructions("ENTRYPOINT") == ['["python", "-m", "sweep"]']
    places = re.search(r"install --directory --mode=1777 (.*)", DOCKERFILE)[1].split()
    assert {"/work/outputs", "/cache"} == set(ast.literal_eval(instructions("VOLUME")[0])) <= set(places)
    assert {mount.rpartition(":")[2] for mount in COMPOSE["services"]["sweep"]["volumes"]} <= set(places)


def test_the_environment_file_has_the_variables_that_sweep_reads():
    """One that nothing reads would be believed to do something."""
    given = variables((DOCKER / "environment.env").read_text(encoding="utf-8"))
    proxies = {"https_proxy", "no_proxy"}  # read by urllib, as `fetch` says
    fetch = (ROOT / "src/sweep/models/fetch.py").read_text(encoding="utf-8")
    assert all(f"`{name}`" in fetch for name in proxies)
    assert set(given) == (read_by_sweep() - NOT_OURS_TO_SET) | proxies
    # An empty CUDA_VISIBLE_DEVICES hides all GPUs.
    assert {name for name, value in given.items() if value is None} >= {"CUDA_VISIBLE_DEVICES", *proxies}


def test_the_environment_file_and_the_image_agree():
    given = variables((DOCKER / "environment.env").read_text(encoding="utf-8"))
    (own,) = instructions("ENV")
    for name, value in (word.split("=", 1) for word in own.split()):
        assert given.get(name, value) == value
    assert {"SWEEP_CACHE", "SWEEP_LOCKS"} <= {word.partition("=")[0] for word in own.split()}


@pytest.mark.parametrize("name", ["sweep", "nightly"])
def test_the_files_of_a_service_exist(name):
    service = COMPOSE["services"][name]
    context = DOCKER / service["build"]["context"]
    assert context.resolve() == ROOT
    assert (context / service["build"]["dockerfile"]).is_file()
    assert (DOCKER / service["env_file"]).is_file()
    assert set(service["build"]["args"]) == {line.partition("=")[0] for line in instructions("ARG")}
    for mount in service["volumes"]:
        source = mount.partition(":")[0]
        assert (DOCKER / source).is_dir() if source.startswith((".", "/")) else source in COMPOSE["volumes"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_nightly_service_is_a_line_that_tools_nightly_takes():
    service = COMPOSE["services"]["nightly"]
    ((source, target),) = (line.split()[-2:] for line in instructions("COPY") if "nightly" in line)
    assert service["entrypoint"] == [Path(target).name]
    assert Path(target).parent.as_posix() == "/usr/local/bin"
    names = service["command"][service["command"].index("--sweeps") + 1 :]
    assert all((ROOT / "sweeps" / f"{name}.yaml").is_file() for name in names)
    done = subprocess.run(
        [sys.executable, ROOT / source, *service["command"], "--keep", "0"], capture_output=True, text=True, check=False
    )
    assert "--keep 0: must be at least 1" in done.stderr  # all else was understood


def runs():
    """Yield what each line of the README gives to sweep."""
    for line in LINES:
        words = shlex.split(line)
        if words[:2] == ["docker", "run"]:
            yield words[words.index(IMAGE) + 1 :]
        elif "compose" in words and "sweep" in words:
            yield words[words.index("sweep") + 1 :]


def test_the_lines_of_the_readme_are_understood_by_a_shell():
    assert len(LINES) == len(list(runs())) + 2  # the build, and the nightly service
    for line in LINES:
        subprocess.run(["bash", "-nc", line], check=True)


def test_each_run_of_the_readme_mounts_what_compose_mounts():
    service = COMPOSE["services"]["sweep"]
    mounts = {mount.replace("../", "$PWD/") for mount in service["volumes"]}
    mounts = {mount.replace("cache:/", f"{COMPOSE['volumes']['cache']['name']}:/") for mount in mounts}
    for line in LINES:
        words = shlex.split(line)
        if words[:2] != ["docker", "run"]:
            continue
        options = words[2 : words.index(IMAGE)]
        assert {options[i + 1] for i, word in enumerate(options) if word == "-v"} == mounts
        assert (ROOT / options[options.index("--env-file") + 1]).is_file()
        assert {"--rm", "--init", "--gpus"} <= set(options)


@pytest.mark.parametrize("arguments", list(runs()), ids=" ".join)
def test_sweep_takes_the_lines_of_the_readme(arguments, tmp_path, monkeypatch):
    """Composed as they are, and built with the small network: ResNet-50 would take half a minute."""
    monkeypatch.chdir(tmp_path)
    if arguments == ["doctor"]:
        return
    seen = []
    run_hydra(arguments, lambda composition: seen.append(composition) or 0)
    assert {point.config["model"]["name"] for point in seen[0].points} <= {"resnet", "mobilenet"}
    small = [word for word in arguments if not word.startswith("model=")]
    run_hydra([*small, "model=digits"], lambda composition: seen.append(composition) or 0)
    points = seen[1].points
    built, _ = build_searches(points) if asks_for_search(points) else build(points)
    assert len(built) == len(seen[0].points)
