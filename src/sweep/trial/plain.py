"""Parsed JSON into frozen dataclasses: every value is held against the type of its field, and none is bent to fit."""

from __future__ import annotations

import dataclasses
import functools
import marshal
import math
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_Reader = Callable[[Any], Any]

_INTEGER_MAX = 2**63 - 1
"""What a column of the table holds."""

SHARED = "shared"
"""In the metadata of a field: many records have the same value there, which is read once and shared by them."""
_REMEMBERED = 256
_MARSHAL_WITHOUT_REFERENCES = 2
"""The format that gives equal data equal bytes."""

_NO_DEFAULT = dataclasses.MISSING
_DEEPEST = 32
"""Levels of data without a type of its own: deeper, it is nobody's environment, and a danger to whoever walks it."""


class PlainError(ValueError):
    """Data does not fit a field.

    Args:
        reason: What is wrong with it.
        path: Names of the fields that lead there, outermost first.
    """

    def __init__(self, reason: str, path: tuple[str, ...] = ()) -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{'.'.join(path)}: {reason}" if path else reason)

    def inside(self, name: str) -> PlainError:
        """Return the same error, seen from the field around it."""
        return PlainError(self.reason, (name, *self.path))


def read_plain(kind: type[T], data: Any) -> T:
    """Rebuild a dataclass from what `json.loads` makes of its `dataclasses.asdict`.

    Fields may be str, int (64 bits), float (finite), bool, enums of str, dataclasses, tuples and mappings of these,
    `Any` (JSON of a sane depth), each of them or None. One with a default may be missing; no key may be unknown.

    Args:
        kind: The dataclass.
        data: Parsed JSON.

    Raises:
        ValueError: It does not fit, or the dataclass refuses it; the message says where.
    """
    hint: Any = kind
    rebuilt: T = _reader(hint)(data)
    return rebuilt


@functools.cache
def _reader(hint: Any) -> _Reader:
    """Return what reads values of a type; made once for each."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return _optional(_reader(inner))
    if origin is not None:
        return _sequence(arguments) if origin is tuple else _MAPPINGS[origin](_reader(arguments[1]))
    if dataclasses.is_dataclass(hint):
        return _record(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _member(hint)
    return _SCALARS[hint]


def _record(kind: Any) -> _Reader:
    hints = get_type_hints(kind)
    fields = [
        (
            field.name,
            _remembering(_reader(hints[field.name])) if SHARED in field.metadata else _reader(hints[field.name]),
        )
        for field in dataclasses.fields(kind)
    ]
    defaults = {field.name: field.default for field in dataclasses.fields(kind) if field.default is not _NO_DEFAULT}

    def read(data: Any) -> Any:
        if type(data) is not dict:
            raise PlainError(f"{_shown(data)} is no object")
        try:
            values = [one(data[name]) for name, one in fields]
        except (KeyError, PlainError):
            data = {**defaults, **data}
            values = [_value(data, name, one, defaults) for name, one in fields]
        if len(values) != len(data):
            raise PlainError("is unknown", (min(key for key in data if key not in hints),))
        return kind(*values)

    return read


def _remembering(read: _Reader) -> _Reader:
    """Return a reader that reads the same data once; by its bytes, since to Python 1, 1.0 and true are equal."""
    known: dict[bytes, Any] = {}

    def recall(data: Any) -> Any:
        try:
            key = marshal.dumps(data, _MARSHAL_WITHOUT_REFERENCES)
        except ValueError:  # nested too deep
            return read(data)
        if key not in known:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[key] = read(data)
        return known[key]

    return recall


def _value(data: Mapping[str, Any], name: str, one: _Reader, defaults: Mapping[str, Any]) -> Any:
    """Return the value of a field, or say that it is this one that does not fit."""
    if name not in data:
        raise PlainError("is missing", (name,))
    try:
        return defaults[name] if data[name] is defaults.get(name, _NO_DEFAULT) else one(data[name])
    except PlainError as error:
        raise error.inside(name) from None


def _optional(inner: _Reader) -> _Reader:
    return lambda data: None if data is None else inner(data)


def _sequence(kinds: tuple[Any, ...]) -> _Reader:
    inner = _reader(kinds[0])
    length = None if kinds[-1] is Ellipsis else len(kinds)  # those of a fixed length are of one kind

    def read(data: Any) -> tuple[Any, ...]:
        if type(data) is not list or (length is not None and len(data) != length):
            raise PlainError(f"{_shown(data)} is no list" + (f" of {length}" if length else ""))
        return tuple([inner(one) for one in data])

    return read


def _mapping(inner: _Reader) -> _Reader:
    def read(data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            raise PlainError(f"{_shown(data)} is no object")
        values = {}
        key = ""
        try:
            for key, value in data.items():
                values[_text(key)] = inner(value)
        except PlainError as error:
            raise error.inside(key) from None
        return values

    return read


def _member(kind: type[Enum]) -> _Reader:
    members = {member.value: member for member in kind}

    def read(data: Any) -> Enum:
        found = members.get(data) if type(data) is str else None
        if found is None:
            raise PlainError(f"{_shown(data)} is none of {', '.join(members)}")
        return found

    return read


def _text(data: Any) -> str:
    if type(data) is not str:
        raise PlainError(f"{_shown(data)} is no text")
    if not data.isascii():
        try:
            data.encode(errors="surrogateescape")  # as Python holds bytes of file names that are no UTF-8
        except UnicodeEncodeError:  # half a character, which can be neither printed nor written
            raise PlainError(f"{data!a:.60} is no text") from None
    return data


def _whole(data: Any) -> int:
    if type(data) is not int or not -_INTEGER_MAX <= data <= _INTEGER_MAX:
        raise PlainError(f"{_shown(data)} is no whole number of 64 bits")
    return data


def _number(data: Any) -> float:
    if type(data) is float and math.isfinite(data):
        return data
    if type(data) is int and -_INTEGER_MAX <= data <= _INTEGER_MAX:
        return data  # as it is written, for the sake of digests
    raise PlainError(f"{_shown(data)} is no finite number")


def _truth(data: Any) -> bool:
    if type(data) is not bool:
        raise PlainError(f"{_shown(data)} is neither true nor false")
    return data


def _json(data: Any, levels: int = _DEEPEST) -> Any:
    if type(data) is dict or type(data) is list:
        if not levels:
            raise PlainError(f"is nested more than {_DEEPEST} levels deep")
        for value in (*data, *data.values()) if type(data) is dict else data:
            _json(value, levels - 1)
    elif type(data) is float:
        _number(data)
    elif type(data) is str:
        _text(data)
    return data


def _shown(data: Any) -> str:
    if isinstance(data, (dict, list)):
        return "an object" if isinstance(data, dict) else "a list"
    text = repr(data) if not isinstance(data, int) or abs(data) <= _INTEGER_MAX else "a number beyond 64 bits"
    return text if len(text) <= 60 else f"{text[:57]}..."


_SCALARS: Mapping[Any, _Reader] = {str: _text, int: _whole, float: _number, bool: _truth, Any: _json}
_MAPPINGS: Mapping[Any, Callable[[_Reader], _Reader]] = {Mapping: _mapping}
