"""Points and submission trees to show, results of one's own, and the browser that reports are looked at with."""

import json
import re

import pytest
from tests.report.conftest import browser, records

from sweep.dashboard.points import DashboardPoint, Source

__all__ = ["browser", "records"]

SUMMARY = """\
================================================
MLPerf Results Summary
================================================
SUT name : SUT of tests
Scenario : {scenario}
Mode     : Performance
{figure}
Result is : {result}
  Performance constraints satisfied : Yes
  Min duration satisfied : Yes
  Min queries satisfied : Yes
{more}
================================================
Additional Stats
================================================
99.00 percentile latency (ns)   : 49305533

================================================
Test Parameters Used
================================================
samples_per_query : 70
target_latency (ns): 50000000

No warnings encountered during test.

No errors encountered during test.
"""


@pytest.fixture
def point():
    """Make a point; `changes` are of its fields."""

    def make(**changes):
        known = {
            "source": Source.OFFICIAL,
            "round": "v0.7",
            "division": "closed",
            "submitter": "Somebody",
            "system_id": "T4x4",
            "system": "A server (4x T4)",
            "status": "available",
            "accelerator": "NVIDIA T4",
            "accelerators": 4,
            "processor": "A processor",
            "processors": 2,
            "software": "TensorRT",
            "benchmark": "resnet50",
            "scenario": "MultiStream",
            "metric": "samples_per_query",
            "value": 1088.0,
            "verdict": "VALID",
            "samples_per_query": 1088,
            "p99_ns": 48_000_000,
            "bound_ns": 50_000_000,
        }
        return DashboardPoint(**{**known, **changes})

    return make


@pytest.fixture
def tree(tmp_path):
    """Write a result into a submission tree; return the tree."""

    def write(
        *,
        division="closed",
        submitter="Somebody",
        system="box",
        benchmark="resnet50",
        scenario="MultiStream",
        figure="Samples per query : 70",
        result="VALID",
        more="",
        run=1,
        description=None,
        text=None,
        ran=None,
        results="inference_results_v5.1",
    ):
        root = tmp_path / results
        of = root / division / submitter
        folder = of / "results" / system / benchmark / scenario
        file = folder / "performance" / (f"run_{run}" if isinstance(run, int) else run) / "mlperf_log_summary.txt"
        file.parent.mkdir(parents=True)
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", ran or scenario)
        filled = SUMMARY.format(scenario=words, figure=figure, result=result, more=more)
        file.write_text(filled if text is None else text)
        (of / "systems").mkdir(exist_ok=True)
        known = {
            "system_name": "A box",
            "accelerators_per_node": "2",
            "accelerator_model_name": "Card",
            "status": "RDI",
        }
        said = json.dumps(known) if description is None else description
        (of / "systems" / f"{system}.json").write_text(said)
        return root

    return write
