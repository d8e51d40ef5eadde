"""Where the files of a submission lie: every name in its tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.paths import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG
from sweep.submission.rounds import Round

MODEL_MAPPING = "model_mapping.json"
MEASUREMENTS = "measurements.json"
USER_CONF, MLPERF_CONF, README = "user.conf", "mlperf.conf", "README.md"
ACCURACY_TXT = "accuracy.txt"
PERFORMANCE_FILES = (SUMMARY_LOG, DETAIL_LOG)
ACCURACY_FILES = (SUMMARY_LOG, DETAIL_LOG, ACCURACY_LOG, ACCURACY_TXT)


@dataclass(frozen=True)
class SubmitterPaths:
    """What belongs to a submitter in one division.

    Attributes:
        root: The root of the tree.
        division: `closed` or `open`.
        submitter: Its folder's name.
    """

    root: Path
    division: str
    submitter: str

    @property
    def directory(self) -> Path:
        """Folder of all of it."""
        return self.root / self.division / self.submitter

    @property
    def systems(self) -> Path:
        """Folder of the systems' descriptions."""
        return self.directory / "systems"

    @property
    def results(self) -> Path:
        """Folder of the results."""
        return self.directory / "results"

    @property
    def model_mapping(self) -> Path:
        """Which benchmark a model of another name stands for."""
        return self.directory / MODEL_MAPPING

    @property
    def calibration(self) -> Path:
        """How weights were quantised."""
        return self.directory / "documentation" / "calibration.md"

    def system(self, system: str) -> Path:
        """A system's description."""
        return self.systems / f"{system}.json"

    def code(self, rules: Round, benchmark: str, implementation: str) -> Path:
        """Folder of an implementation's code."""
        return self.directory / rules.code_folder / benchmark / implementation


@dataclass(frozen=True)
class ResultPaths:
    """What belongs to one result: a system, a benchmark, a scenario.

    Attributes:
        of: The submitter's part of the tree.
        system: Name of the system's folder.
        benchmark: Name of the benchmark's, or of a model that stands for it.
        scenario: Name of the scenario's.
    """

    of: SubmitterPaths
    system: str
    benchmark: str
    scenario: str

    @property
    def directory(self) -> Path:
        """Folder of its logs."""
        return self.of.results / self.system / self.benchmark / self.scenario

    @property
    def performance(self) -> Path:
        """Folder of the performance test."""
        return self.directory / "performance" / "run_1"

    @property
    def accuracy(self) -> Path:
        """Folder of the accuracy test."""
        return self.directory / "accuracy"

    def measurements(self, rules: Round) -> Path:
        """Folder of the measurements file, user.conf and the README."""
        return (
            self.directory
            if rules.flat
            else self.of.directory / "measurements" / self.system / self.benchmark / self.scenario
        )

    def measurements_file(self, rules: Round, implementation: str) -> Path:
        """The measurements file; its name before v6.0 says system, implementation and, since v1.0, scenario."""
        if rules.flat:
            return self.measurements(rules) / MEASUREMENTS
        ending = "" if rules.name == "v0.7" else f"_{self.scenario}"
        return self.measurements(rules) / f"{self.system}_{implementation}{ending}.json"


def scenario_folder(rules: Round, scenario: str) -> str:
    """Return the name of a scenario's folder."""
    return scenario.lower() if rules.lower_case_scenarios else scenario
