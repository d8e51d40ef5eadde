"""The random seeds of the MLPerf rounds: a round's submission checker refuses a test that was drawn with any other.

LoadGen carries those of one round in its built-in mlperf.conf. The figures are those of mlcommons/inference, from
`submission_checker/constants.py` (v5.0 to v6.0), its predecessors `submission-checker.py` (v0.5 to v4.1) and the
mlperf.conf of LoadGen 6.0.17 (v6.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Seeds:
    """What LoadGen's generators start from.

    Attributes:
        qsl: Of which samples are loaded together.
        sample_index: Of which sample a query asks for.
        schedule: Of when queries arrive, where that is drawn.
    """

    qsl: int
    sample_index: int
    schedule: int

    def by_setting(self) -> dict[str, int]:
        """Return them by LoadGen's own names."""
        return {
            "qsl_rng_seed": self.qsl,
            "sample_index_rng_seed": self.sample_index,
            "schedule_rng_seed": self.schedule,
        }


ROUND_SEEDS: Mapping[str, Seeds] = {
    "v0.5": Seeds(3133965575612453542, 665484352860916858, 3622009729038561421),
    "v0.7": Seeds(12786827339337101903, 12640797754436136668, 3135815929913719677),
    "v1.0": Seeds(7322528924094909334, 1570999273408051088, 3507442325620259414),
    "v4.1": Seeds(3066443479025735752, 10688027786191513374, 14962580496156340209),
    "v5.0": Seeds(6023615788873153749, 15036839855038426416, 9933818062894767841),
    "v5.1": Seeds(1780908523862526354, 14771362308971278857, 18209322760996052031),
    "v6.0": Seeds(2465351861681999779, 14276810075590677512, 3936089224930324775),
    "v6.1": Seeds(2085463073848966840, 2747215439041700203, 16159082839903944936),
}
"""By round."""


def seeded_round(settings: Mapping[str, object]) -> str | None:
    """Return the round whose seeds a test was drawn with, by LoadGen's settings; None for others, or where unsaid."""
    of = (name for name, seeds in ROUND_SEEDS.items() if seeds.by_setting().items() <= settings.items())
    return next(of, None)
