"""Which of its tests the certificate of a joint search is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sweep.trial.spec import TrialSpec

if TYPE_CHECKING:
    from sweep.study.search import SearchPlan, SettingResult


def of_the_answer(plan: SearchPlan, settings: Sequence[SettingResult]) -> Callable[[TrialSpec], bool]:
    """Return which tests a certificate is about, by their specs.

    Args:
        plan: Of the search; of a joint one, under the setting that has won.
        settings: What a joint search tried; empty for any other.
    """
    # A label has values as they are typed; a spec has what they were resolved to, and that for its own N.
    typed = [{key: json.dumps(value).replace('"', "") for key, value in one.setting.items()} for one in settings]
    won = next((number for number, values in enumerate(typed) if values.items() <= plan.label.items()), None)
    if won is None:
        return lambda _: True
    setting = settings[won].setting
    options = [key.removeprefix("backend.") for key in setting if key.startswith("backend.")]
    batch = setting.get("engine_batch")

    def wanted(spec: TrialSpec) -> bool:
        n, of_plan = spec.samples_per_query, plan.spec.backend.options
        is_batch = "engine_batch" not in setting or spec.engine_batch == (n if batch is None else min(int(batch), n))
        is_backend = all(spec.backend.options.get(key) == of_plan.get(key) for key in options)
        return is_batch and is_backend and spec.precision is plan.spec.precision

    return wanted
