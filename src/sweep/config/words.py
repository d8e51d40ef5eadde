"""The KEY=VALUE words of a command line: what Hydra's grammar would answer with its tokens is said here."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Sequence

from sweep.config.files import choices, groups, load_choice, load_file
from sweep.errors import Problem, choose, closest
from sweep.paths import conf_dir

SYNONYMS = {
    **dict.fromkeys(("samples_per_query", "batch_size", "batchsize", "n", "N", "b"), "batch"),
    **dict.fromkeys(("output", "output_dir", "out", "o"), "outputs"),
    **dict.fromkeys(("target_latency", "latency"), "target_latency_ms"),
    **dict.fromkeys(("duration", "min_duration"), "min_duration_ms"),
    **dict.fromkeys(("queries", "query_count"), "min_query_count"),
}
"""Names that other tools have for a key."""

_OVERRIDE = re.compile(r"(?P<key>[+~]{0,2}[\w./@:-]+)=(?P<value>.*)", re.DOTALL)
_EMPTY_ITEM = re.compile(r",\s*,|,\s*$|^\s*,")
_NO_NAME = re.compile(r"null|true|false|(?P<number>[-+]?\d+(\.\d*)?)|[\[{].*", re.IGNORECASE | re.DOTALL)


def word_problems(words: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with words, each with what to write instead.

    Args:
        words: The command line without its flags.
    """
    for word, following in zip(words, (*words[1:], ""), strict=False):
        if "\r" in word:
            fix = "the script that holds it has the line ends of Windows: convert them"
            yield Problem(word.replace("\r", "\\r"), None, "has a carriage return in it", fix)
        elif match := _OVERRIDE.fullmatch(word):
            yield from _override_problems(match["key"], match["value"], following)
        elif not word.startswith("~"):
            yield from _other_problems(word, following)


def _override_problems(key: str, value: str, following: str) -> Iterator[Problem]:
    plain = not re.search(r"[\"'\[{(\\]", value)
    if plain and re.search(r"\s[\w.]+=", value):
        yield Problem(key, value, "is more than one setting", "leave out the quotes around them")
    elif plain and value.endswith(",") and "=" in following:
        yield Problem(key, value, "ends in a comma", f"write {key}={value.rstrip(',')}")
    elif plain and _EMPTY_ITEM.search(value):
        items = [item.strip() for item in (f"{value}{following}" if value.endswith(",") else value).split(",")]
        fix = f"write lists without blanks: {key}={','.join(filter(None, items))}"
        yield Problem(key, value, "has an empty item", fix)
    if re.match(r"hydra[./]launcher\b", key) and value != "basic":
        yield Problem(key, value, "cannot be chosen: trials run in sweep's own workers", "leave it out")
    if key == "model" and plain and (value.endswith(".onnx") or "/" in value or os.path.isfile(value)):  # noqa: PTH113
        yield Problem(key, value, "is a file, not the name of a model", f"write model=onnx model.path={value}")
    if key == "hydra/sweeper" and value != "grid":  # another one makes folders before it can be refused
        yield Problem(key, value, "cannot be chosen: the grid is sweep's own, and made as a whole", "leave it out")
    if key in groups() and (no_name := _NO_NAME.fullmatch(value)):
        own = f"; one of your own needs quotes: '{key}={quoted(value)}'" if no_name["number"] else ""
        yield Problem(key, value, "must be one of its choices", choose(value, choices(key)) + own)


def _other_problems(word: str, following: str) -> Iterator[Problem]:
    key, equals, value = (part.strip() for part in word.partition("="))
    owners = [group for group in groups() if word in choices(group)]
    if not word.strip():
        yield Problem("command line", "''", "is an empty word", "leave it out")
    elif equals and re.fullmatch(r"[\w./@-]+", key):
        yield Problem(word.strip(), None, "has blanks in it", f"write {key}={value}")
    elif word in setting_names():
        value = "" if "=" in following[1:] else following.removeprefix("=").strip()
        yield Problem(word, None, "is a setting", f"write {word}={value or 'VALUE'}, without blanks")
    elif ":" in word and word.partition(":")[0] in setting_names():
        yield Problem(word, None, "is not KEY=VALUE", f"write {word.replace(':', '=', 1)}")
    elif owners:
        yield Problem(word, None, "is not KEY=VALUE", f"write {' or '.join(f'{owner}={word}' for owner in owners)}")
    elif word.endswith(".onnx"):
        yield Problem(word, None, "is not KEY=VALUE", f"write model=onnx model.path={word}")


def quoted(value: str) -> str:
    """Return a value as Hydra reads it whatever is in it; a backslash means itself to it, but before a quote."""
    escaped = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + match[2].replace('"', '\\"'), value)
    return f'"{escaped}"'


def setting_names() -> set[str]:
    """Return the names of settings and groups, as sweep's own configuration has them."""
    return {*groups(), *load_file(conf_dir() / "config.yaml")} - {"defaults", "hydra"}


def meant(name: str) -> list[str]:
    """Return the keys that a name may mean: itself, what other tools call it, or a key inside of a group."""
    if name in setting_names():
        return [name]
    return [SYNONYMS[name]] if name in SYNONYMS else _nested().get(name, [])


@functools.cache
def _nested() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group in groups():
        for key in dict.fromkeys(key for choice in choices(group) for key in load_choice(group, choice)):
            if key != "name" and group not in {"rules", "sweeps"}:
                found.setdefault(str(key), []).append(f"{group}.{key}")
    return found


def nearest(key: str) -> list[str]:
    """Return the key that a misspelt one is nearest to, as a whole or by its last part, under whatever choices."""
    whole = {name.lower(): [name] for name in (*setting_names(), *_paths())}
    by_name = {name: meant(name) for name in (*SYNONYMS, *_nested())}
    for known in (whole, by_name):
        if near := closest(key.lower(), known, cutoff=0.75):
            return known[near[0]]
    return []


def dotted_keys(node: object, prefix: str = "") -> Iterator[str]:
    """Yield every key inside of a mapping, with those that lead to it before a dot; nothing of anything else."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}"
        yield from dotted_keys(value, f"{prefix}{key}.")


@functools.cache
def _paths() -> frozenset[str]:
    """Return every dotted key of every choice, and of the configuration itself."""
    own = {key: value for key, value in load_file(conf_dir() / "config.yaml").items() if key != "defaults"}
    chosen = (dotted_keys(load_choice(group, one), f"{group}.") for group in groups() for one in choices(group))
    return frozenset((*dotted_keys(own), *(path for paths in chosen for path in paths)))
