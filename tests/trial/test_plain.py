"""A value that is not of its field's type never gets into a record, and the message says which it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest

from sweep.trial.plain import read_plain


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    size: int

    def __post_init__(self):
        if self.size == 13:
            raise ValueError("13 is refused")


@dataclass(frozen=True)
class Whole:
    name: str
    count: int
    share: float
    is_new: bool
    colour: Colour
    part: Part
    parts: tuple[Part, ...]
    pair: tuple[int, int] | None
    shares: Mapping[str, float]
    free: Mapping[str, Any]
    maybe: int | None = None


GOOD = {
    "name": "ä",
    "count": 3,
    "share": 1,
    "is_new": True,
    "colour": "red",
    "part": {"size": 1},
    "parts": [{"size": 2}, {"size": 3}],
    "pair": [1, 2],
    "shares": {"a": 0.5},
    "free": {"a": [1, {"b": None}], "big": 2**64},
}


def test_good_data_becomes_what_it_was():
    whole = read_plain(Whole, GOOD)
    assert whole.parts == (Part(2), Part(3))
    assert whole.colour is Colour.RED
    assert whole.pair == (1, 2)
    assert whole.maybe is None
    assert isinstance(whole.share, int)  # as it was written: a digest is made of it
    assert read_plain(Whole, {**GOOD, "pair": None, "maybe": 4}).maybe == 4


DEEP = {}
for _ in range(40):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 5}, "name: 5 is no text"),
        ({"name": "\udc00"}, "name: '\\\\udc00' is no text"),
        ({"count": "3"}, "count: '3' is no whole number of 64 bits"),
        ({"count": 3.0}, "count: 3.0 is no whole number"),
        ({"count": True}, "count: True is no whole number"),
        ({"count": 2**63}, "count: a number beyond 64 bits is no whole number"),
        ({"count": None}, "count: None is no whole number"),
        ({"share": float("inf")}, "share: inf is no finite number"),
        ({"share": float("nan")}, "share: nan is no finite number"),
        ({"share": 10**400}, "share: a number beyond 64 bits is no finite number"),
        ({"share": "1"}, "share: '1' is no finite number"),
        ({"is_new": 1}, "is_new: 1 is neither true nor false"),
        ({"colour": "green"}, "colour: 'green' is none of red, blue"),
        ({"colour": []}, "colour: a list is none of red, blue"),
        ({"part": []}, "part: a list is no object"),
        ({"part": {"size": "x"}}, "part.size: 'x' is no whole number"),
        ({"part": {"size": 1, "weight": 2}}, "part.weight: is unknown"),
        ({"part": {"size": 13}}, "13 is refused"),
        ({"parts": {}}, "parts: an object is no list"),
        ({"parts": [{"size": 1}, {}]}, "parts.size: is missing"),
        ({"pair": [1]}, "pair: a list is no list of 2"),
        ({"shares": {"a": 1, "b": None}}, "shares.b: None is no finite number"),
        ({"free": {"a": {"b": float("inf")}}}, "free.a: inf is no finite number"),
        ({"free": {"a": DEEP}}, "free.a: is nested more than 32 levels deep"),
        ({"free": []}, "free: a list is no object"),
        ({"extra": 1}, "extra: is unknown"),
        ({"maybe": "x"}, "maybe: 'x' is no whole number"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message):
    with pytest.raises(ValueError) as caught:
        read_plain(Whole, {**GOOD, **change})
    assert str(caught.value).startswith(message.replace("\\\\", "\\"))


@pytest.mark.parametrize("data", [None, 5, "x", []])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(ValueError, match="is no object"):
        read_plain(Whole, data)


def test_a_missing_key_is_named():
    with pytest.raises(ValueError, match="count: is missing"):
        read_plain(Whole, {key: value for key, value in GOOD.items() if key != "count"})
