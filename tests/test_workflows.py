"""The workflows on GitHub, which nothing here runs: what would break or open them is read off their text."""

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
FILES = sorted([*GITHUB.glob("workflows/*.yml"), *GITHUB.glob("actions/*/action.yml")])
NIGHTLY = GITHUB / "workflows" / "nightly.yml"
NIGHT = GITHUB / "actions" / "night" / "action.yml"

HARMLESS = (
    r"\.ci/run",
    r"python -m venv \.venv",
    r'\.venv/bin/python -m pip install --quiet -e "\.\$EXTRAS"',
    r'\.venv/bin/python tools/nightly( --?[\w-]+( \w+)?| \$\{UPDATE:\+--update-baseline\}| --sweeps="\$SWEEPS")*',
)
"""What a step may say to a shell: everything else belongs into a script that a person can run."""

RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Of the fields of a cron line: minute, hour, day, month, day of the week."""


def read(path):
    """Return a file with every value as text: YAML itself takes the key `on` for a boolean."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def jobs(path):
    return read(path).get("jobs", {})


def steps(path):
    whole = read(path)
    lists = [whole["runs"]["steps"]] if "runs" in whole else [job["steps"] for job in whole["jobs"].values()]
    return list(itertools.chain.from_iterable(lists))


def named(path):
    return path.relative_to(GITHUB).as_posix()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_the_shell_gets_a_script_or_a_harmless_line(path):
    """An expression within a line of shell is code to it, whoever wrote its value."""
    for step in steps(path):
        if "run" in step:
            assert "${{" not in step["run"]
            assert any(re.fullmatch(harmless, step["run"]) for harmless in HARMLESS), step["run"]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_actions_are_githubs_own_at_a_major_version_or_this_repositorys(path):
    for step in steps(path):
        if "uses" in step:
            own = ROOT / step["uses"] / "action.yml"
            assert re.fullmatch(r"actions/[\w/-]+@v\d+", step["uses"]) or own.is_file(), step["uses"]


def test_an_action_has_one_version_everywhere():
    used = {step["uses"] for path in FILES for step in steps(path) if step.get("uses", "").startswith("actions/")}
    versions = [tuple(re.sub(r"/(restore|save)@", "@", one).split("@")) for one in used]
    assert len({name for name, _ in versions}) == len(set(versions))


@pytest.mark.parametrize("path", sorted(GITHUB.glob("workflows/*.yml")), ids=named)
def test_a_workflow_may_only_read_and_every_job_ends(path):
    assert read(path)["permissions"] == {"contents": "read"}
    for job in jobs(path).values():
        assert 0 < int(job["timeout-minutes"]) <= 240
        assert "permissions" not in job


def test_nights_wait_for_each_other_and_are_not_started_by_a_pull_request():
    """A self-hosted runner must never run what anybody on the internet proposes."""
    whole = read(NIGHTLY)
    assert set(whole["on"]) == {"schedule", "workflow_dispatch"}
    assert whole["concurrency"] == {"group": "nightly-${{ github.ref }}", "cancel-in-progress": "false"}


def test_a_night_comes_once_a_day():
    (line,) = read(NIGHTLY)["on"]["schedule"]
    fields = line["cron"].split()
    assert len(fields) == len(RANGES)
    for field, (low, high) in zip(fields, RANGES, strict=True):
        assert field == "*" or low <= int(field) <= high
    assert all(field.isdecimal() for field in fields[:2])
    assert fields[2:] == ["*"] * 3


@pytest.mark.parametrize("runner", ["", "auto", "gpu", "cpu"])
@pytest.mark.parametrize("variable", ["", "yes"])
def test_a_night_runs_on_one_runner_and_on_the_one_that_was_chosen(runner, variable):
    def holds(condition):
        python = condition.replace("||", "or").replace("&&", "and").replace("inputs.runner", repr(runner))
        return eval(python.replace("vars.SWEEP_GPU_RUNNER", repr(variable)), {"__builtins__": {}})

    runs = [name for name, job in jobs(NIGHTLY).items() if holds(job["if"])]
    assert runs == [runner if runner in {"gpu", "cpu"} else "gpu" if variable else "cpu"]


def test_the_inputs_of_a_night_are_what_the_action_takes():
    inputs = read(NIGHT)["inputs"]
    required = {name for name, one in inputs.items() if one.get("required") == "true"}
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for kind, job in jobs(NIGHTLY).items():
        given = job["steps"][-1]["with"]
        assert required <= set(given) <= set(inputs)
        assert given["kind"] == kind
        if wanted := given.get("extras"):
            assert f"\n{wanted.strip('[]')} = [" in extras


def test_the_sweeps_of_a_night_exist():
    for job in jobs(NIGHTLY).values():
        expression = job["steps"][-1]["with"]["sweeps"]
        names = re.fullmatch(r"\$\{\{ inputs\.sweeps \|\| '([\w ]+)' \}\}", expression)[1].split()
        assert names
        for name in names:
            assert (ROOT / "sweeps" / f"{name}.yaml").is_file(), name


def test_a_night_keeps_the_history_that_it_began_with():
    """Whatever became of the night: a key that has an entry is not written again, so each try has its own."""
    found = {step["uses"].partition("@")[0]: step for step in steps(NIGHT) if "uses" in step}
    restore, save = found["actions/cache/restore"], found["actions/cache/save"]
    assert save["if"] == found["actions/upload-artifact"]["if"] == "always()"
    assert save["with"] == {key: restore["with"][key] for key in ("path", "key")}
    assert save["with"]["path"].split() == ["nightly/baselines", "nightly/history"]
    assert restore["with"]["key"].startswith(restore["with"]["restore-keys"])
    assert "github.run_id" in save["with"]["key"]
    assert "github.run_attempt" in save["with"]["key"]


def test_the_line_of_a_night_is_one_that_tools_nightly_takes():
    """With the words that the shell makes of it, however the inputs are filled in."""
    (step,) = (step for step in steps(NIGHT) if "tools/nightly" in step.get("run", ""))
    for sweeps, update in itertools.product(("", "nightly", "../evil; rm *"), ("", "yes")):
        line = step["run"].replace(".venv/bin/python tools/nightly", "printf '%s\\n'")
        environment = {"SWEEPS": sweeps, "UPDATE": update, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["bash", "-ec", line], env=environment, capture_output=True, text=True, check=True)
        words = done.stdout.splitlines()
        assert words[-1] == f"--sweeps={sweeps}"  # whatever it is, no option of its own
        assert ("--update-baseline" in words) == bool(update)
        assert words[:2] == ["--outputs", "nightly"]


def test_actionlint_finds_nothing():
    if shutil.which("actionlint") is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run(["actionlint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
