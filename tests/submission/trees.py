"""Submission trees of real tests, to be broken one way at a time."""

import json
import re
import shutil
from pathlib import Path

from sweep.cli import main

OFFICIAL = Path(__file__).parent.parent / "data" / "submission" / "digits_official.zip"
SYSTEM = "amd-epyc-2-cores-onnxruntime"


def export_real(folder):
    """Export the real official tests of the digits to v5.1 and v6.0; return their trees by round.

    What their records do not know and the report of a round is calculated with is filled in: one processor.
    """
    outputs = folder / "outputs"
    assert main(["unpack", str(OFFICIAL), "--outputs", str(outputs)]) == 0
    trees = {}
    for name in ("v5.1", "v6.0"):
        trees[name] = folder / f"submission-{name}"
        where = ["--round", name, "--division", "open", "--submitter", "Example", "--out", str(trees[name])]
        assert main(["submission", "export", str(outputs), *where]) == 0
        system = trees[name] / "open" / "Example" / "systems" / f"{SYSTEM}.json"
        system.write_text(json.dumps(json.loads(system.read_text()) | {"host_processors_per_node": "1"}))
    return trees


class Broken:
    """A copy of a tree, and the hands to break it.

    Args:
        tree: The tree.
        copy: Where its copy is to lie.
    """

    def __init__(self, tree, copy):
        shutil.copytree(tree, copy)
        self.root = copy
        self.division, self.benchmark = "open", "digits"

    @property
    def submitter(self):
        return self.root / self.division / "Example"

    @property
    def result(self):
        return self.submitter / "results" / SYSTEM / self.benchmark / "MultiStream"

    @property
    def measurements(self):
        return self.submitter / "measurements" / SYSTEM / self.benchmark / "MultiStream"

    @property
    def performance(self):
        return self.result / "performance" / "run_1"

    @property
    def summary(self):
        return self.performance / "mlperf_log_summary.txt"

    @property
    def detail(self):
        return self.performance / "mlperf_log_detail.txt"

    @property
    def mapping(self):
        return self.submitter / "model_mapping.json"

    @property
    def measured(self):
        return next(self.measurements.glob("*.json"))

    @property
    def accuracy(self):
        return self.result / "accuracy"

    @property
    def accuracy_detail(self):
        return self.accuracy / "mlperf_log_detail.txt"

    @property
    def accuracy_summary(self):
        return self.accuracy / "mlperf_log_summary.txt"

    @property
    def answers(self):
        return self.accuracy / "mlperf_log_accuracy.json"

    @property
    def system(self):
        return self.submitter / "systems" / f"{SYSTEM}.json"

    def close(self):
        """Make it a closed submission of resnet, which its logs would allow: with the compliance tests' files."""
        (self.root / "open").rename(self.root / "closed")
        self.division = "closed"
        for folder in (
            *(self.submitter / part / SYSTEM for part in ("results", "measurements")),
            self.submitter / "code",
        ):
            (folder / "digits").rename(folder / "resnet")
        self.benchmark = "resnet"
        (self.submitter / "model_mapping.json").unlink()
        described = json.loads(self.system.read_text())
        stated = {key: "known" if value == "not stated" else value for key, value in described.items()}
        self.system.write_text(json.dumps(stated | {"division": "closed"}))
        for name in ("SingleStream", "Offline"):
            shutil.copytree(self.result, self.result.parent / name)
        compliance = self.submitter / "compliance" / SYSTEM / "resnet" / "MultiStream"
        for test in ("TEST01", "TEST04"):
            run = compliance / test / "performance" / "run_1"
            run.mkdir(parents=True)
            (run / "mlperf_log_detail.txt").write_text("there")
            for name in ("verify_performance.txt", "verify_accuracy.txt"):
                (compliance / test / name).write_text("TEST PASS")
        return self

    def edit(self, path, old, new):
        """Replace every `old` in a file; there must be one."""
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def edit_json(self, path, **changes):
        """Change keys of a JSON object; None removes one."""
        found = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))

    def setting_of_accuracy(self, count):
        """Change what the accuracy test's log says of how many samples it had."""
        keys = ("effective_accuracy_sample_count", "qsl_reported_total_count")
        _change(self.accuracy_detail, lambda line: _with_value(line, count), *keys)

    def setting(self, name, value):
        """Change what both logs say a setting was."""
        _change(self.detail, lambda line: _with_value(line, value), f"effective_{name}")
        shown = {"min_duration_ms": "min_duration (ms)"}.get(name, name)
        changed = re.sub(rf"(?m)^({re.escape(shown)} ?:).*$", rf"\1 {value}", self.summary.read_text())
        self.summary.write_text(changed)

    def result_of(self, key, value):
        """Change a result in the detail log, or remove its line; return what it was."""
        (was,) = _change(self.detail, lambda line: "" if value is None else _with_value(line, value), key)
        return json.loads(was.partition(" ")[2])["value"]

    def twice(self, key, value):
        """Say a key of the detail log once more, with another value."""
        (_,) = _change(self.detail, lambda line: _with_value(line, value) + line, key)

    def flag_error(self, detail, key):
        """Make an error of a line of a detail log."""
        _change(detail, lambda line: line.replace('"is_error": false', '"is_error": true'), key)


def _change(detail, change, *keys):
    """Change the lines of a detail log that say one of the keys; return them as they were."""
    lines = detail.read_text().splitlines(keepends=True)
    found = [line for line in lines if any(f'"key": "{key}"' in line for key in keys)]
    assert found
    detail.write_text("".join(change(line) if line in found else line for line in lines))
    return found


def _with_value(line, value):
    head, _, record = line.partition(" ")
    return f"{head} {json.dumps(json.loads(record) | {'value': value})}\n"
