"""Where a trial comes from that sweep did not measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMPORTED = "imported from"
"""How the note begins of a trial that sweep did not measure itself."""


@dataclass(frozen=True)
class Imported:
    """The origin of an imported trial: what its record cannot say in the words of sweep's own.

    Attributes:
        source: Which tool measured it: `ck`.
        entry: Name of the entry there.
        point: Identifier of the point in the entry.
        imported_at: UTC, ISO 8601.
        division: `closed` or `open`, as the entry says; empty where it does not.
        system: Short name of the system there (`xavier`).
        system_name: Its full name (`NVIDIA Jetson AGX Xavier`); empty where it is not known.
        implementation: Program that ran the test (`image-classification-tensorrt-loadgen-py`); empty likewise.
        benchmark: Name of the benchmark there (`resnet50`).
        settings: Everything the tool was told: environment variables, as it kept them.
        description: Further facts for a submission, by the keys of its measurements file (`retraining`, ...).
        metric: What LoadGen calls the figure of the scenario: `Samples per query`; empty where it gave none.
        metric_value: That figure.
        metric_unit: What it is in: `samples`, `samples/s`, `ns`, ...; empty where LoadGen does not say.
        files: LoadGen's logs and settings that came along, by file name.
    """

    source: str
    entry: str
    point: str
    imported_at: str
    division: str
    system: str
    system_name: str
    implementation: str
    benchmark: str
    settings: Mapping[str, Any]
    description: Mapping[str, str]
    metric: str = ""
    metric_value: float | None = None
    metric_unit: str = ""
    files: tuple[str, ...] = ()
