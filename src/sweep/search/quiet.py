"""The one way Optuna is loaded: late, because it takes a fifth of a second, and quietly."""

from __future__ import annotations

import warnings
from typing import Any


def load_optuna() -> Any:
    """Return the module `optuna`, told to keep its log and its warnings about experimental parts to itself.

    Its log would break into the lines of a running sweep; whatever goes wrong arrives as an exception too.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna
