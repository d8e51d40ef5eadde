"""What an engine is built with, as pure data; a cached engine is known by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sweep.errors import BackendError

EXACT, RANGE = "exact", "range"


@dataclass(frozen=True)
class Profile:
    """The numbers of samples that an engine takes.

    Attributes:
        smallest: The fewest.
        best: What its kernels are chosen for.
        largest: The most.
    """

    smallest: int
    best: int
    largest: int

    @classmethod
    def of(
        cls, kind: str, engine_batch: int, largest: int | None, *, limit: int | None = None, one_size: bool = True
    ) -> Self:
        """Return the profile that the options ask for.

        Args:
            kind: `exact` for `engine_batch` alone, `range` for 1 to `largest`.
            engine_batch: Samples per launch.
            largest: End of the range; None for the next power of two from `engine_batch`, so that neighbouring N share
                an engine.
            limit: The most that the model allows, whatever is asked for; None for no limit.
            one_size: Whether the flavour builds good engines for one number alone. TensorRT for RTX does not: they
                carry padding that grows with it (MobileNet int8 for 256: 1.2 GB, and 9 MB for 1 to 256).

        Raises:
            BackendError: The range ends before `engine_batch`.
        """
        least = 1 if one_size else 2
        if kind == EXACT:
            return cls(engine_batch if one_size else 1, engine_batch, max(engine_batch, least))
        end = largest or 1 << (engine_batch - 1).bit_length()
        end = max(min(end, limit or end), least)
        if end < engine_batch:
            reason = f"is less than the engine batch of {engine_batch}"
            raise BackendError(f"backend.profile_max={end} {reason}; raise it, or set a smaller engine_batch")
        return cls(1, end, end)


@dataclass(frozen=True)
class BuildSettings:
    """Everything that a builder is told besides the model.

    Attributes:
        profile: The numbers of samples.
        tf32: Whether float32 products may round their factors to 10 bits.
        workspace_mib: Most scratch memory of one kernel, in MiB; None for no limit but the device's.
        optimization_level: How long kernels are searched for, 0 to 5; None for TensorRT's own.
        version_compatible: Whether other versions of TensorRT, and the lean runtime, can load the engine.
        aux_streams: Most streams beside the main one; None for TensorRT's own choice.
    """

    profile: Profile
    tf32: bool = True
    workspace_mib: int | None = None
    optimization_level: int | None = None
    version_compatible: bool = False
    aux_streams: int | None = None

    @classmethod
    def of(
        cls, options: Mapping[str, Any], engine_batch: int, *, limit: int | None = None, one_size: bool = True
    ) -> Self:
        """Return the settings that validated options ask for; `limit` and `one_size` as `Profile.of` takes them.

        Raises:
            BackendError: The profile has no room for `engine_batch`.
        """
        return cls(
            Profile.of(options["profile"], engine_batch, options["profile_max"], limit=limit, one_size=one_size),
            **{name: options[name] for name in cls.__dataclass_fields__ if name != "profile"},
        )
