"""tools/nightly: the order of its steps, its exit codes, the night it goes on with, and the history it keeps.

sweep itself is stood in for by an interpreter that writes down how it was called, and exits as a test wants it to.
"""

import importlib.machinery
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

ROOT = Path(__file__).parents[2]
NIGHTLY = ROOT / "tools" / "nightly"
DATE = "2026-03-01"

STUB = """\
#!/bin/bash
folder=$(dirname "$0")
[ "$1 $2" = "-m sweep" ] || exit 99
shift 2
if [ "$1" = --version ]; then echo "sweep 1.2.3"; exit; fi
(IFS=$'\\x1f'; printf '%s\\n' "$*" >> "$folder/calls")
echo "output of $1"
name=${1#sweeps=}
code=$(cat "$folder/codes/$name" 2> /dev/null || echo 0)
if [ "$code" = hang ]; then
    for number in 1 2 15; do trap "echo $number >> '$folder/signals'" "$number"; done
    touch "$folder/hanging"
    for _ in {1..400}; do [ -s "$folder/signals" ] && break; sleep 0.05; done
    sleep 0.2
    code=$((128 + $(head -n 1 "$folder/signals")))
fi
[ "$code" = killed ] && kill -KILL $$
[ "$name" = pack ] && touch "$2"
words=("$@")
for i in "${!words[@]}"; do
    case ${words[i]} in
        --out | --junit | --summary) echo "words of $name" > "${words[i + 1]}" ;;
        --baseline) baseline=${words[i + 1]} ;;
        --update) touch "$baseline" ;;
    esac
done
exit "$code"
"""


@pytest.fixture(scope="session")
def nightly():
    """Return the script as a module."""
    loader = importlib.machinery.SourceFileLoader("nightly", str(NIGHTLY))
    spec = importlib.util.spec_from_loader("nightly", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["nightly"] = module  # where dataclasses look for it
    loader.exec_module(module)
    return module


class Bed:
    """A folder with a stand-in for Python, and nights that are run with it."""

    def __init__(self, folder, module, monkeypatch, capfd):
        self.folder = folder
        self.outputs = folder / "all nights"
        self.baseline = folder / "base line.json"
        self.step_summary = folder / "step summary"
        self.stub = folder / "python stub"
        self.stub.write_text(STUB)
        self.stub.chmod(0o755)
        self._module, self._monkeypatch, self._capfd = module, monkeypatch, capfd
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(self.step_summary))
        (folder / "codes").mkdir()

    def codes(self, **codes):
        """Have some steps exit otherwise than with 0 from now on: by the name of the command or the sweep."""
        for path in (self.folder / "codes").iterdir():
            path.unlink()
        for name, code in codes.items():
            (self.folder / "codes" / name).write_text(str(code))

    def command(self, *arguments):
        places = ("--outputs", self.outputs, "--python", self.stub, "--date", DATE)
        baseline = ("--baseline", self.baseline) if self.baseline else ()
        return [str(one) for one in (NIGHTLY, *places, *baseline, *arguments)]

    def calls(self):
        log = self.folder / "calls"
        return [line.split("\x1f") for line in log.read_text().splitlines()] if log.exists() else []

    def run(self, *arguments):
        """Run a night; return its exit code, the calls it made, and what was printed."""
        (self.folder / "calls").unlink(missing_ok=True)
        self._monkeypatch.setattr(sys, "argv", self.command(*arguments))
        try:
            code = self._module.main()
        except SystemExit as end:  # argparse's
            code = end.code
        printed = self._capfd.readouterr()
        return code, self.calls(), printed.out + printed.err

    @property
    def nights(self):
        return sorted((self.outputs / "nights").iterdir())

    @property
    def archives(self):
        return sorted(path.name for path in (self.outputs / "history").iterdir())


@pytest.fixture
def bed(tmp_path, nightly, monkeypatch, capfd):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield Bed(tmp_path, nightly, monkeypatch, capfd)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def names(calls):
    return [call[0] for call in calls]


ALL = ["doctor", "sweeps=nightly", "sweeps=nightly_accuracy", "report", "report", "gate", "pack"]


def test_a_night_runs_its_steps_in_order_and_hands_paths_over_whole(bed):
    """Paths with blanks in them reach every command as one argument, and Hydra in quotes."""
    bed.baseline.touch()
    code, calls, printed = bed.run("run=quick", "--tolerance", "7")
    (night,) = bed.nights
    assert code == 0, printed
    assert calls == [
        ["doctor"],
        ["sweeps=nightly", f'outputs="{night}"', "run=quick"],
        ["sweeps=nightly_accuracy", f'outputs="{night}"', "run=quick"],
        ["report", f"{night}", "--format", "html", "--out", f"{night}/report.html"],
        ["report", f"{night}", "--format", "md", "--out", f"{night}/report.md"],
        [
            *("gate", f"{night}", "--baseline", f"{bed.baseline}"),
            *("--junit", f"{night}/gate.xml", "--summary", f"{night}/gate.md", "--tolerance", "7"),
        ],
        ["pack", f"{bed.outputs}/history/.{night.name}.zip", f"{night}"],
    ]
    assert night.name.startswith(f"{DATE}_")
    assert bed.archives == [f"{night.name}.zip"]
    for name in ("doctor", "sweeps=nightly", "report", "gate", "pack"):
        assert f"output of {name}" in printed


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ({"nightly": 1}, 1),
        ({"nightly": 2}, 2),
        ({"nightly_accuracy": 1, "report": 2}, 2),
        ({"gate": 1}, 1),
        ({"nightly": 1, "gate": 2, "pack": 1}, 2),
        ({"pack": 1}, 1),
    ],
)
def test_what_fails_keeps_no_other_step_from_running_and_the_worst_exit_code_is_the_nights(bed, codes, expected):
    bed.baseline.touch()
    bed.codes(**codes)
    code, calls, _ = bed.run()
    assert (code, names(calls)) == (expected, ALL)


@pytest.mark.parametrize(
    ("codes", "expected", "steps"),
    [
        ({"doctor": 1}, 1, ["doctor"]),
        ({"nightly": 130}, 130, ["doctor", "sweeps=nightly"]),
        ({"nightly": "killed"}, 137, ["doctor", "sweeps=nightly"]),
        ({"nightly": 2, "nightly_accuracy": 2}, 2, ["doctor", "sweeps=nightly", "sweeps=nightly_accuracy"]),
        ({"report": 143}, 143, [*ALL[:3], "report"]),
        ({"gate": 143}, 143, ALL[:-1]),
    ],
)
def test_a_night_stops_where_it_was_interrupted_or_there_is_nothing_to_report(bed, codes, expected, steps):
    bed.baseline.touch()
    bed.codes(**codes)
    code, calls, _ = bed.run()
    assert (code, names(calls)) == (expected, steps)


def test_the_first_night_makes_the_baseline_and_later_ones_are_held_against_it(bed):
    _, calls, printed = bed.run()
    assert calls[-2][-1] == "--update"
    assert bed.baseline.exists()
    assert "first run" in printed or "first run" in bed.step_summary.read_text()
    _, calls, _ = bed.run()
    assert "--update" not in calls[-2]
    _, calls, _ = bed.run("--update-baseline")
    assert calls[-2][-1] == "--update"


def test_no_baseline_is_made_of_a_night_with_failures(bed):
    """A point that FAILED would never be missed again."""
    bed.codes(nightly=1)
    code, calls, printed = bed.run()
    assert (code, names(calls)) == (1, [*ALL[:5], "pack"])
    assert "no baseline is made" in printed
    assert not bed.baseline.exists()
    bed.baseline.write_text("as it was")
    _, calls, printed = bed.run("--update-baseline")
    assert "--update" not in calls[-2]
    assert "the baseline stays as it is" in printed


def test_each_kind_of_machine_has_a_baseline_of_its_own_by_default(bed):
    bed.baseline = None
    assert bed.run()[0] == 0
    (made,) = (bed.outputs / "baselines").iterdir()
    assert f"-x{os.cpu_count()}" in made.stem


def test_a_night_that_was_interrupted_goes_on_and_a_finished_one_is_followed_by_another(bed):
    """The records of one night are never taken for another's; those of an interrupted night are not lost."""
    bed.codes(nightly_accuracy=130)
    assert bed.run()[0] == 130
    (first,) = bed.nights
    bed.codes()
    _, calls, printed = bed.run()
    assert bed.nights == [first]
    assert "goes on" in printed
    assert f'outputs="{first}"' in calls[1]
    _, calls, _ = bed.run()
    assert [night.name for night in bed.nights] == [first.name, f"{first.name}_2"]
    assert f'outputs="{first}_2"' in calls[1]
    assert bed.archives == [f"{first.name}.zip", f"{first.name}_2.zip"]


def test_a_night_with_a_regression_is_over_and_one_with_bad_input_is_not(bed):
    bed.baseline.touch()
    bed.codes(gate=2)
    bed.run()
    bed.codes(gate=1)
    bed.run()
    assert len(bed.nights) == 1
    bed.run()
    assert len(bed.nights) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_running_sweep_and_ends_the_night(bed, number):
    """Otherwise the sweep would go on measuring behind the back of whoever stopped the night."""
    bed.codes(nightly="hang")
    night = subprocess.Popen(
        [sys.executable, *bed.command()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (bed.folder / "hanging").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(night.pid, number)  # as Ctrl-C in a terminal: to all that the command line has started
    assert night.wait(60) == 128 + number
    assert names(bed.calls()) == ALL[:2]
    assert (bed.folder / "signals").read_text() == f"{number:d}\n"  # once: the second Ctrl-C would hurry the sweep
    assert not (bed.nights[0] / "finished").exists()


def test_the_newest_archives_are_kept_and_nothing_else_is_touched(bed):
    history = bed.outputs / "history"
    history.mkdir(parents=True)
    for day in range(1, 6):
        (history / f"2026-01-0{day}_abcdef.zip").touch()
    (history / "mine.zip").touch()
    _, _, printed = bed.run("--keep", "3")
    (night,) = bed.nights
    assert bed.archives == ["2026-01-04_abcdef.zip", "2026-01-05_abcdef.zip", f"{night.name}.zip", "mine.zip"]
    for day in (1, 2, 3):
        assert f"removed: {history}/2026-01-0{day}_abcdef.zip" in printed


def test_the_night_just_kept_is_not_removed_for_its_old_date(bed):
    """A night that is measured again under its own date (--date) would delete what it has just packed."""
    history = bed.outputs / "history"
    history.mkdir(parents=True)
    for day in (2, 3, 4):
        (history / f"2026-09-0{day}_abcdef.zip").touch()
    bed.run("--keep", "2")
    assert len(bed.archives) == 2
    assert bed.archives[0].startswith(DATE)
    assert bed.archives[1].startswith("2026-09-04")


def test_an_archive_that_was_not_packed_whole_is_not_in_the_history(bed):
    bed.baseline.touch()
    bed.codes(pack=1)
    bed.run()
    assert not [name for name in bed.archives if not name.startswith(".")]


def test_the_summary_goes_to_github_too(bed):
    bed.baseline.touch()
    bed.codes(gate=1)
    bed.run()
    text = bed.step_summary.read_text()
    assert text == (bed.nights[0] / "summary.md").read_text()
    assert text.startswith(f"# night {bed.nights[0].name}: exit code 1 (gate)")
    assert "| gate | 1 |" in text
    assert text.index("words of gate") < text.index("words of report")


def test_a_summary_has_nothing_of_the_try_before(bed):
    """A regression that an interrupted night had reported is not one of the night that goes on."""
    bed.baseline.touch()
    bed.codes(pack=130)
    bed.run()
    bed.step_summary.unlink()
    bed.codes(nightly=130)
    bed.run()
    assert "words of" not in bed.step_summary.read_text()


def test_values_and_sweeps_are_sorted_out(bed):
    code, calls, printed = bed.run(
        "run=quick", "--sweeps", "one two", "three", "two:search.budget.tests=4", "--keep", "5", "backend.threads=1"
    )
    assert code == 0, printed
    assert [(call[0], call[2:]) for call in calls[1:4]] == [
        ("sweeps=one", ["run=quick", "backend.threads=1"]),
        ("sweeps=two", ["run=quick", "backend.threads=1", "search.budget.tests=4"]),
        ("sweeps=three", ["run=quick", "backend.threads=1"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sweeps", "../evil"], "../evil: is no name of a sweep"),
        (["--sweeps=--python=evil"], "--python=evil: is no name of a sweep"),
        (["--sweeps", "--keep"], "expected at least one argument"),
        (["quick"], "quick: is no KEY=VALUE"),
        (["other:run=quick"], "other is not among the sweeps: nightly nightly_accuracy"),
        (["outputs=elsewhere"], "see --outputs"),
        (["resume=false"], "is for the night to say"),
        (["--keep", "0"], "at least 1"),
        (["--date", "yesterday"], "is no date"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_runs(bed, arguments, words):
    code, calls, printed = bed.run(*arguments)
    assert (code, calls) == (2, [])
    assert words in printed
    assert not bed.outputs.exists()


def test_no_sweeps_given_are_the_default_ones(bed):
    """The workflow hands over an empty word where nobody chose any."""
    assert names(bed.run("--sweeps=")[1]) == ALL


@pytest.mark.parametrize(
    "name", ["plain", "a b", "it's", 'say "x"', "back\\slash", 'both\\"', "end\\", "a,b=c", "[x]{y}", "#1"]
)
def test_a_path_comes_back_from_hydra_as_it_was(nightly, tmp_path, name):
    """Whatever a folder is called, records land in it."""
    line = f"outputs={nightly.quoted(tmp_path / name)}"
    assert OverridesParser.create().parse_override(line).value() == str(tmp_path / name)
