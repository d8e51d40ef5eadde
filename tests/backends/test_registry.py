from importlib.metadata import EntryPoint

import pytest

from sweep.backends import registry
from sweep.errors import ConfigError, MissingDependencyError


@pytest.fixture
def registered(monkeypatch):
    """Register one more backend by what its entry point names."""

    def register(value):
        known = {**registry._entry_points(), "theirs": EntryPoint("theirs", value, registry.GROUP)}
        monkeypatch.setattr(registry, "_entry_points", lambda: known)

    return register


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        ConfigError, match=r"^backend=simulatd: unknown backend; did you mean simulated\? .*onnxruntime"
    ):
        registry.backend_class("simulatd")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module_anywhere:Thing", "cannot be imported .ModuleNotFoundError: No module named"),
        ("sweep.errors:NoSuchThing", "cannot be imported .AttributeError: "),
        ("sweep.errors:choose", "is not a backend"),
        ("sweep.errors:Problem", "is not a backend"),
    ],
)
def test_a_backend_of_others_that_cannot_be_had_is_one_line(registered, value, reason):
    """It may be installed for another project, and its owner far away."""
    registered(value)
    with pytest.raises(MissingDependencyError, match=f"^backend=theirs: {reason}.*; mend or remove {value}$"):
        registry.available_backend("theirs")
