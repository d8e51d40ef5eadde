"""The words the whole project shares, as closed sets."""

from __future__ import annotations

from enum import IntEnum, StrEnum

DISTURBED = "disturbed"
"""What is said beside a number that others, or the machine itself, had a part in."""


class Scenario(StrEnum):
    """LoadGen's scenarios."""

    SINGLE_STREAM = "SingleStream"
    MULTI_STREAM = "MultiStream"
    SERVER = "Server"
    OFFLINE = "Offline"


class TestMode(StrEnum):
    """LoadGen's test modes."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    PERFORMANCE = "PerformanceOnly"
    ACCURACY = "AccuracyOnly"


class Precision(StrEnum):
    """Number formats an engine computes in."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    UNKNOWN = "unknown"
    """Of an imported trial that does not say; not to be asked for."""


COMPUTED = (Precision.FP32, Precision.FP16, Precision.INT8)
"""What an engine can be asked to compute in."""


class RunClass(StrEnum):
    """How long a test runs."""

    QUICK = "quick"
    SCREENING = "screening"
    OFFICIAL = "official"
    CUSTOM = "custom"
    """Shorter than the class that was asked for; not to be asked for itself."""


class Verdict(StrEnum):
    """What a complete trial showed under the chosen rules."""

    VALID = "VALID"
    INVALID = "INVALID"


class TrialState(StrEnum):
    """How far a trial got. State is not verdict: an INVALID trial is COMPLETE."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


class Weights(StrEnum):
    """Where a model's weights come from."""

    SHIPPED = "shipped"
    REFERENCE = "reference"
    SYNTHETIC = "synthetic"
    USER = "user"
    NONE = "none"
    UNKNOWN = "unknown"
    """Of an imported trial, whose model sweep never saw."""


class AbortRule(StrEnum):
    """How early a hopeless test may be stopped."""

    CONFIDENT = "confident"
    CERTAIN = "certain"
    NEVER = "never"


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    INTERRUPTED = 130
    PIPE = 141
    """As shells report a program that SIGPIPE ended."""


SIGNAL_EXIT = 128
"""Exit code of a command that a signal ended, less the signal's number, as shells have it."""
