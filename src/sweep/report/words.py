"""How figures and conditions are put into words for people, on the terminal and on paper."""

from __future__ import annotations

from sweep.trial.spec import RunSpec, TrialSpec
from sweep.trial.telemetry import Telemetry, share_of
from sweep.vocabulary import RunClass, TestMode


def ms(latency_ns: int | None) -> str:
    """Return nanoseconds as milliseconds with four significant digits, for people."""
    if latency_ns is None:
        return "-"
    value = latency_ns / 1e6
    return f"{value:.2f}" if value >= 10 else f"{value:.3f}" if value >= 1 else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Return seconds as `42 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count_of(number: int, noun: str) -> str:
    """Return `1 query`, `2 queries`, `3 samples`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def length_of(seconds: float) -> str:
    """Return the length of a test as it was asked for: `0.5 s`, `10 min 0 s`."""
    return duration(seconds) if seconds >= 60 else f"{seconds:g} s"


def span_of(run: RunSpec) -> str:
    """Return how long a test runs: `1440 queries`, `662 queries and 10 s, at most 2000 queries`."""
    least, most = _amount(run.min_query_count, run.min_duration_ms), _amount(run.max_query_count, run.max_duration_ms)
    return least if not most or most == least else f"{least}, at most {most.replace(' and ', ' or ')}"


def runs_of(spec: TrialSpec) -> str:
    """Return what tests an answer rests on: `screening runs`; those of no class say how long they are."""
    return f"{spec.run_class} runs" + (f" of {span_of(spec.run)}" if spec.run_class is RunClass.CUSTOM else "")


def _amount(query_count: int, duration_ms: int) -> str:
    parts = [count_of(query_count, "query")] if query_count else []
    return " and ".join([*parts, *([length_of(duration_ms / 1e3)] if duration_ms else [])])


def conditions(spec: TrialSpec) -> str:
    """Return, in one line, under which rules and for how long a point was tested."""
    if spec.mode is TestMode.ACCURACY:
        return f"accuracy over {count_of(spec.dataset.count, 'sample')} of {spec.dataset.name}"
    bound = f", p{spec.rules.percentile:g} without a bound"
    if spec.rules.target_latency_ns is not None:
        bound = f", p{spec.rules.percentile:g} <= {spec.rules.target_latency_ns / 1e6:g} ms"
    length = f"at least {_amount(spec.run.min_query_count, spec.run.min_duration_ms)}"
    return f"{spec.scenario}, {spec.rules_label} rules, {spec.run_class} run: {length}{bound}"


def telemetry_line(telemetry: Telemetry) -> str:
    """Return what a GPU reported during a test, in one line; what it did not report is left out."""
    parts = []
    if (clock := telemetry.sm_clock_mhz) is not None:
        span = "" if clock.min == clock.max else f" ({clock.min:.0f} to {clock.max:.0f})"
        parts.append(f"SM clock {clock.mean:.0f} MHz{span}")
    if (memory := telemetry.memory_clock_mhz) is not None:
        parts.append(f"memory {memory.mean:.0f} MHz")
    if (power := telemetry.power_w) is not None:
        limit = "" if telemetry.power_limit_w is None else f" of {telemetry.power_limit_w:.0f} W at most"
        parts.append(f"{power.mean:.0f} W{limit}")
    if (heat := telemetry.temperature_c) is not None:
        parts.append(f"up to {heat.max:.0f} °C")
    if telemetry.energy_per_sample_j is not None:
        parts.append(f"{joules(telemetry.energy_per_sample_j)} per sample")
    held = [f"{name} {share_of(share)}" for name, share in telemetry.throttle_reasons.items() if name != "gpu_idle"]
    if held:
        parts.append(f"clock held by {', '.join(held)}")
    return f"{telemetry.gpu}: {', '.join(parts) or 'it reports nothing'}"


def joules(energy_j: float) -> str:
    """Return an energy for people: `1.23 J`, `45.6 mJ`."""
    return f"{energy_j:.3g} J" if energy_j >= 1 else f"{1000 * energy_j:.3g} mJ"
