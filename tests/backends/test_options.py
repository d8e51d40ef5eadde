import pytest

from sweep.backends.options import Option, validate
from sweep.errors import ConfigError

KNOWN = {
    "threads": Option(None, int, 1, 1024, optional=True),
    "seed": Option(0, int, 0, 2**32 - 1),
    "factor": Option(1.0, float, 0.5),
    "mode": Option("all", str, choices=("all", "some")),
}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"threads": 0}, "backend.threads=0: is out of range; give a number from 1 to 1024 or null"),
        ({"threads": "two"}, "backend.threads=two: must be a whole number; give a number from 1 to 1024 or null"),
        ({"threads": True}, "backend.threads=True: must be a whole number; give a number from 1 to 1024 or null"),
        ({"seed": 2**32}, "backend.seed=4294967296: is out of range; give a number from 0 to 4294967295"),
        ({"seed": 1.5}, "backend.seed=1.5: must be a whole number; give a number from 0 to 4294967295"),
        ({"seed": None}, "backend.seed: must be set; give a number from 0 to 4294967295"),
        ({"factor": float("inf")}, "backend.factor=inf: must be a number; give a number from 0.5"),
        ({"mode": "none"}, "backend.mode=none: is not a valid choice; choose one of: all, some"),
        ({"mode": ["all"]}, "backend.mode=['all']: is not a valid choice; choose one of: all, some"),
        (
            {"thread": 2},
            "backend.thread=2: unknown option of this backend; did you mean threads? choose one of: factor, mode, seed",
        ),
        ({5: 2}, "backend.5=2: unknown option of this backend; choose one of: factor, mode, seed"),
    ],
)
def test_one_line_names_option_value_and_fix(options, line):
    with pytest.raises(ConfigError) as caught:
        validate(options, KNOWN)
    assert str(caught.value).removesuffix(", threads") == line


def test_a_number_beyond_every_float_is_out_of_range():
    """Such a number is one key held down too long; a test of it must not become a traceback."""
    with pytest.raises(ConfigError, match="backend.threads=1000.*is out of range"):
        validate({"threads": 10**400}, KNOWN)
    with pytest.raises(ConfigError, match="backend.factor=1000.*is out of range"):
        validate({"factor": 10**400}, KNOWN)
