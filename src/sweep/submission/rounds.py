"""The rule book: what a submission to each round must hold.

Its figures are those of mlcommons/inference: package `tools/submission/submission_checker` (`constants.py`) for v5.0 to
v6.1, `submission_checker.py` (`submission-checker.py`) of the time for v0.7 to v5.1. What the checker of a round lets
pass is no error in that round: `Round.lenient`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sweep.loadgen.seeds import ROUND_SEEDS, Seeds
from sweep.vocabulary import Scenario

DIVISIONS = ("closed", "open")
STATUSES = ("available", "preview", "rdi")
SYSTEM_TYPES = ("datacenter", "edge", "datacenter,edge", "edge,datacenter")
"""What a system can be; up to v0.7 the first two."""

ACCURACY_LOG_MAX = 10 * 1024
"""Bytes that a log of answers in a submission may have."""

ACCURACY_LOG_KEPT = 4096
"""Bytes that are kept of each end of a longer one."""


@dataclass(frozen=True)
class Benchmark:
    """What one benchmark demands.

    Attributes:
        metric: What its accuracy is counted in: `acc` (top-1, %), `mAP` (%); empty where sweep does not score it.
        accuracy: Least accuracy in `closed`, in that unit; 0 likewise.
        performance_sample_count: Samples held in memory, at least.
        dataset_size: Samples that the accuracy test must cover, exactly.
        target_latency_ns: MultiStream's bound on a query while that was fixed; None later.
        scenarios: Of edge systems: those that `closed` requires; empty where it is no benchmark of such systems.
        server_latency_ns: Bound on a query of Server; None where there is none, or sweep does not know it.
        optional: Of edge systems: those that `closed` takes besides.
        datacenter: Like `scenarios`, of datacenter systems.
        datacenter_optional: Like `optional`, of those.
        compliance: Its compliance tests in `closed`.
    """

    metric: str
    accuracy: float
    performance_sample_count: int
    dataset_size: int
    target_latency_ns: int | None = None
    scenarios: tuple[Scenario, ...] = ()
    server_latency_ns: int | None = None
    optional: tuple[Scenario, ...] = ()
    datacenter: tuple[Scenario, ...] = ()
    datacenter_optional: tuple[Scenario, ...] = ()
    compliance: tuple[str, ...] = ("TEST01",)

    def offered(self, system_type: str) -> tuple[set[Scenario], set[Scenario]]:
        """Return the scenarios that a type of system must have, and those it may have; `datacenter,edge` is one."""
        edge, datacenter = "edge" in system_type, "datacenter" in system_type
        required = {*(self.scenarios if edge else ()), *(self.datacenter if datacenter else ())}
        optional = {*(self.optional if edge else ()), *(self.datacenter_optional if datacenter else ())}
        return required, set(Scenario) if edge and datacenter else required | optional


@dataclass(frozen=True)
class Round:
    """The rules of one round.

    Attributes:
        name: `v5.1`.
        min_duration_ms: Least length that a test must be set to.
        min_query_count: Least number of queries that a MultiStream test must be set to; 0 where early stopping decides.
        samples_per_query: MultiStream's N where it is fixed; None where it is the result.
        early_stopping: Whether LoadGen's early stopping must be satisfied, and its estimate is the result.
        multistream_metric: Name of MultiStream's result in the logs.
        benchmarks: By their names.
        aliases: Names that stand for a benchmark's without being mapped.
        others: Names of the round's other benchmarks and their aliases, of which sweep knows no more.
        flat: Whether measurements lie beside the results (since v6.0), not in a tree of their own.
        wants_mlperf_conf: Whether an mlperf.conf must lie beside user.conf.
        code_folder: Folder of the code: `code`, or `src` since v6.0.
        lower_case_scenarios: Whether folders are named `multistream`, not `MultiStream`.
        has_mapping: Whether `open` maps models of other names by `model_mapping.json`.
        system_fields: Keys of a system's description, in their order.
        required_fields: Those of them that it must have.
        meaningful: Those of them that must not be empty.
        numeric_fields: Those that the official report generator reads as whole numbers, and fails where they are none.
        system_types: What a system can be.
        guesses: What a name stands for that nobody maps, by a part of it: the first that fits.
        wants_calibration: Whether `closed` must say how weights were quantised.
        open_demands: What it refuses in `open` too: a `benchmark` that is none of such systems, an accuracy that
            it cannot read (`score`).
        lenient: Checks whose errors are warnings, since the checker of that round does not refuse what they find.
    """

    name: str
    min_duration_ms: int
    min_query_count: int
    samples_per_query: int | None
    early_stopping: bool
    multistream_metric: str
    benchmarks: Mapping[str, Benchmark]
    aliases: Mapping[str, str]
    others: tuple[str, ...]
    flat: bool
    wants_mlperf_conf: bool
    code_folder: str
    lower_case_scenarios: bool
    has_mapping: bool
    system_fields: tuple[str, ...]
    required_fields: tuple[str, ...]
    meaningful: tuple[str, ...]
    numeric_fields: tuple[str, ...]
    system_types: tuple[str, ...]
    guesses: tuple[tuple[str, str], ...]
    wants_calibration: bool
    open_demands: frozenset[str]
    lenient: frozenset[str]

    @property
    def seeds(self) -> Seeds:
        """Random seeds of its tests."""
        return ROUND_SEEDS[self.name]

    def benchmark_of(self, model: str, mapping: Mapping[str, str] | None = None) -> str | None:
        """Return the benchmark that a model's name stands for; None for none.

        Args:
            model: Name of the folder in the tree.
            mapping: What `model_mapping.json` says.
        """
        if model in self.others:
            return None
        name = model if model in self.benchmarks else self.aliases.get(model) or (mapping or {}).get(model)
        name = name or next((benchmark for part, benchmark in self.guesses if part in model), None)
        return name if name in self.benchmarks else None


_MS = 1_000_000
_SS, _MULTI, _OFFLINE, _SERVER = Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.OFFLINE, Scenario.SERVER
_RESNET = 76.46 * 0.99
_EDGE, _ALL, _DATACENTER = (_SS, _OFFLINE), (_SS, _MULTI, _OFFLINE), (_SERVER, _OFFLINE)
_OLD_TESTS = ("TEST01", "TEST04-A", "TEST04-B", "TEST05")
_OLD_OFFER = ((_MULTI,), (_OFFLINE,), (_SERVER,), _OLD_TESTS)
_OLD_BENCHMARKS = {
    "resnet": Benchmark("acc", _RESNET, 1024, 50_000, 50 * _MS, _EDGE, 15 * _MS, *_OLD_OFFER),
    "ssd-small": Benchmark("mAP", 22 * 0.99, 256, 5_000, 50 * _MS, _EDGE, None, (_MULTI,), compliance=_OLD_TESTS),
    "ssd-large": Benchmark("mAP", 20 * 0.99, 64, 5_000, 66 * _MS, _EDGE, 100 * _MS, *_OLD_OFFER),
}
_OLD_ALIASES = {"ssd-mobilenet": "ssd-small", "ssd-resnet34": "ssd-large", "mobilenet": "resnet", "resnet50": "resnet"}
_NEW_ALIASES = {"ssd-resnet34": "retinanet", "mobilenet": "resnet", "resnet50": "resnet"}


def _of_text(size: int, datacenter: tuple[Scenario, ...], compliance: tuple[str, ...] = ("TEST01",)) -> Benchmark:
    return Benchmark("", 0, size, size, scenarios=_EDGE, datacenter=datacenter, compliance=compliance)


_V50_BENCHMARKS = {
    "resnet": Benchmark(
        "acc", _RESNET, 1024, 50_000, None, _ALL, 15 * _MS, datacenter=_DATACENTER, compliance=("TEST01", "TEST04")
    ),
    "retinanet": Benchmark("mAP", 37.55 * 0.99, 64, 24_781, None, _ALL, 100 * _MS, datacenter=_DATACENTER),
    "bert-99": _of_text(10_833, ()),
    "bert-99.9": _of_text(10_833, ()),
    "3d-unet-99": _of_text(43, (_OFFLINE,)),
    "3d-unet-99.9": _of_text(43, (_OFFLINE,)),
    "stable-diffusion-xl": _of_text(5_000, _DATACENTER, ("TEST01", "TEST04")),
}
_V41_BENCHMARKS = {
    name: one if name == "stable-diffusion-xl" else replace(one, compliance=(*one.compliance, "TEST05"))
    for name, one in _V50_BENCHMARKS.items()
} | {
    "bert-99": _of_text(10_833, _DATACENTER, ("TEST01", "TEST05")),
    "bert-99.9": replace(_of_text(10_833, _DATACENTER, ("TEST01", "TEST05")), scenarios=()),
}
_V51_BENCHMARKS = _V50_BENCHMARKS | {"resnet": replace(_V50_BENCHMARKS["resnet"], datacenter=())}
_V60_BENCHMARKS = _V51_BENCHMARKS | {
    "retinanet": replace(_V51_BENCHMARKS["retinanet"], scenarios=(), datacenter=()),
    "stable-diffusion-xl": replace(_V51_BENCHMARKS["stable-diffusion-xl"], datacenter=()),
    "yolo-95": Benchmark("mAP", 53.4 * 0.95, 64, 1_525, scenarios=_ALL),
    "yolo-99": Benchmark("mAP", 53.4 * 0.99, 64, 1_525, scenarios=_ALL),
}

_GUESSES = (
    *(("mobilenet", "resnet"), ("efficientnet", "resnet"), ("resnet50", "resnet")),
    *(("bert-99.9", "bert-99.9"), ("bert-99", "bert-99")),
)
_OLD_GUESSES = (
    *((part, "ssd-small") for part in ("ssdlite", "ssd-inception", "yolo", "ssd-mobilenet", "ssd-resnet50")),
    *(("mobilenet", "resnet"), ("efficientnet", "resnet"), ("rcnn", "ssd-small")),
)

_OLD_OTHERS = ("mobilenet-v1", "rnnt", "bert-99", "bert-99.9", "dlrm-99", "dlrm-99.9", "3d-unet-99", "3d-unet-99.9")
_NEW_OTHERS = (
    *("rnnt", "dlrm-v2-99", "dlrm-v2-99.9", "gptj-99", "gptj-99.9", "llama2-70b-99", "llama2-70b-99.9"),
    *("llama2-70b-interactive-99", "llama2-70b-interactive-99.9", "mixtral-8x7b", "llama3.1-405b", "llama3.1-8b"),
    *("llama3.1-8b-edge", "llama3_1-405b", "llama3_1-8b", "llama3_1-8b-edge", "rgat", "pointpainting", "deepseek-r1"),
    *("whisper", "gpt-oss-120b", "wan-2.2-t2v-a14b", "qwen3-vl-235b-a22b", "dlrm-v3"),
)
"""Of v4.1 to v6.1 together: a model of one's own with such a name would be taken for that benchmark."""

_OLD_FIELDS = (
    *("division", "submitter", "status", "system_type", "system_name", "number_of_nodes"),
    *("host_processor_model_name", "host_processors_per_node", "host_processor_core_count"),
    *("host_processor_frequency", "host_processor_caches", "host_memory_configuration", "host_memory_capacity"),
    *("host_storage_capacity", "host_storage_type", "host_processor_interconnect", "host_networking"),
    *("host_networking_topology", "accelerators_per_node", "accelerator_model_name", "accelerator_frequency"),
    *("accelerator_host_interconnect", "accelerator_interconnect", "accelerator_interconnect_topology"),
    *("accelerator_memory_capacity", "accelerator_memory_configuration", "accelerator_on-chip_memories"),
    *("cooling", "hw_notes", "framework", "operating_system", "other_software_stack", "sw_notes"),
)
_V07_FIELDS = (
    *("division", "submitter", "status", "system_name", "number_of_nodes", "host_processor_model_name"),
    *("host_processors_per_node", "host_processor_core_count", "host_memory_capacity", "host_storage_capacity"),
    *("host_storage_type", "accelerators_per_node", "accelerator_model_name", "accelerator_memory_capacity"),
    *("framework", "operating_system"),
)
_FIELDS = (*_OLD_FIELDS, "host_network_card_count", "system_type_detail")
_MAY_BE_EMPTY = (
    *("host_processor_frequency", "host_processor_caches", "host_processor_interconnect", "accelerator_frequency"),
    *("accelerator_interconnect_topology", "accelerator_on-chip_memories", "hw_notes", "sw_notes"),
    "system_type_detail",
)
_MEANINGFUL = tuple(field for field in _FIELDS if field not in _MAY_BE_EMPTY)

MEASUREMENT_FIELDS = (
    *("input_data_types", "retraining", "starting_weights_filename", "weight_data_types", "weight_transformations"),
)
"""Keys that a measurements file must have; since v5.0 none may be empty."""

_OF_TREES = frozenset({"root", "names", "sizes", "links", "systems", "files"})
"""Checks of a tree's order, which the checkers of v4.1 to v5.1 made, and neither those before nor the package since."""

_V10_LENIENT = _OF_TREES | {"measurements_file", "not_empty", "code", "compliance", "coverage"}

_V07 = Round(
    name="v0.7",
    min_duration_ms=60_000,
    min_query_count=270_336,
    samples_per_query=None,
    early_stopping=False,
    multistream_metric="effective_samples_per_query",
    benchmarks=_OLD_BENCHMARKS,
    aliases=_OLD_ALIASES,
    others=_OLD_OTHERS,
    flat=False,
    wants_mlperf_conf=True,
    code_folder="code",
    lower_case_scenarios=True,
    has_mapping=False,
    system_fields=_OLD_FIELDS,
    required_fields=_V07_FIELDS,
    meaningful=(),
    numeric_fields=(),
    system_types=SYSTEM_TYPES[:2],
    guesses=_OLD_GUESSES,
    wants_calibration=False,
    open_demands=frozenset({"benchmark"}),
    lenient=_V10_LENIENT | {"status"},
)
_V10 = replace(
    _V07,
    name="v1.0",
    min_duration_ms=600_000,
    required_fields=_OLD_FIELDS,
    numeric_fields=("number_of_nodes", "host_processors_per_node", "accelerators_per_node"),
    system_types=SYSTEM_TYPES,
    lenient=_V10_LENIENT | {"settings", "measurements"},
)
_V41 = replace(
    _V10,
    name="v4.1",
    min_query_count=0,
    samples_per_query=8,
    early_stopping=True,
    multistream_metric="early_stopping_latency_ms",
    benchmarks=_V41_BENCHMARKS,
    aliases=_NEW_ALIASES,
    others=_NEW_OTHERS,
    lower_case_scenarios=False,
    has_mapping=True,
    system_fields=_FIELDS,
    required_fields=_FIELDS,
    meaningful=_MEANINGFUL,
    numeric_fields=("host_processors_per_node",),
    guesses=_GUESSES,
    lenient=frozenset({"systems", "coverage"}),
)
_V50 = replace(_V41, name="v5.0", benchmarks=_V50_BENCHMARKS, wants_mlperf_conf=False)
_V51 = replace(
    _V50,
    name="v5.1",
    benchmarks=_V51_BENCHMARKS,
    wants_calibration=True,
    open_demands=frozenset({"benchmark", "score"}),
    lenient=frozenset(),
)
_V60 = replace(
    _V51,
    name="v6.0",
    benchmarks=_V60_BENCHMARKS,
    flat=True,
    code_folder="src",
    open_demands=frozenset(),
    lenient=_OF_TREES | {"calibration"},
)

ROUNDS: Mapping[str, Round] = {
    one.name: one
    for one in (
        _V07,
        _V10,
        _V41,
        _V50,
        _V51,
        _V60,
        replace(_V60, name="v6.1"),
    )
}
"""By name, oldest first."""

IGNORED_ERRORS: Mapping[str, tuple[str, ...]] = {
    "v0.5": (
        *("check for ERROR in detailed", "Loadgen built with uncommitted changes", "CAS failed"),
        "Ran out of generated queries to issue before the minimum query count and test duration were reached",
    ),
    "v0.7": ("CAS failed",),
}
"""Parts of errors in LoadGen's detail log that the checker of a round let pass (r0.7, `submission-checker.py`,
`ignore_errors`); later rounds have none."""


def is_ignored(round_name: str | None, error: str) -> bool:
    """Return whether the checker of a round let an error in a detail log pass."""
    return any(part in error for part in IGNORED_ERRORS.get(round_name or "", ()))
