"""Filters choose what their words say, and a wrong word is told before anything is read."""

from dataclasses import replace

import pytest

from sweep.errors import ConfigError
from sweep.results.empty import why_empty
from sweep.results.filters import is_filter, parse_filters, split_words
from sweep.results.selection import select
from sweep.store.records import StoredTrial


@pytest.fixture
def trials(three, searches):
    three.add(searches.test(800, failure="crash"))
    return select([three.root]).trials


def chosen(trials, *words):
    filters = parse_filters(words)
    return sorted(one.result.spec.samples_per_query for one in trials if filters.match(one))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=digits"], [100, 200, 400, 800]),
        (["model=DIG*"], [100, 200, 400, 800]),
        (["model=resnet"], []),
        (["model!=resnet"], [100, 200, 400, 800]),
        (["batch=100,400"], [100, 400]),
        (["batch!=100,400"], [200, 800]),
        (["samples_per_query>=200", "batch<800"], [200, 400]),
        (["result=valid"], [100, 200]),
        (["result=none"], [800]),
        (["result!=none"], [100, 200, 400]),
        (["state=FAILED"], [800]),
        (["failure=crash"], [800]),
        (["latency_p99_ms<40"], [100, 200]),
        (["p99_ms>40"], [400]),
        (["latency_p99_ns>4e7"], [400]),
        (["p99_ms=none"], [800]),
        (["target_latency_ms=50"], [100, 200, 400, 800]),
        (["mode=performance"], [100, 200, 400, 800]),
        (["mode=accuracy"], []),
        (["mode=PerformanceOnly"], [100, 200, 400, 800]),
        (["mode!=accuracy"], [100, 200, 400, 800]),
        (["run=quick"], [100, 200, 400, 800]),
        (["weights=none"], [100, 200, 400, 800]),
        (["backend.per_sample_ms=0.05"], [100, 200, 400, 800]),
        (["backend.per_sample_ms=0.06"], []),
        (["backend.fault=null"], [100, 200, 400, 800]),
        (["backend.nothing=none"], [100, 200, 400, 800]),
        (["started_at>=2026-01-01"], [100, 200, 400, 800]),
        (["started_at<2026-01-01"], []),
        (["started_at=2026-01-01*"], [100, 200, 400, 800]),
        (["attempt=1"], [100, 200, 400, 800]),
        (["busy=none"], [100, 200, 400, 800]),
        (["busy=true"], []),
    ],
)
def test_words_choose_what_they_say(trials, words, expected):
    assert chosen(trials, *words) == expected


def test_a_bracket_in_a_name_is_a_bracket(trials):
    first = trials[0].result
    spec = replace(first.spec, model=replace(first.spec.model, name="net[1]"))
    stored = StoredTrial(replace(first, spec=spec, spec_digest=spec.digest), trials[0].directory)
    assert parse_filters(["model=net[1]"]).match(stored)
    assert not parse_filters(["model=net1"]).match(stored)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("modle=x", "modle: no column of the results; did you mean model?"),
        ("mode=fast", "mode=fast: unknown; choose one of: AccuracyOnly, PerformanceOnly, accuracy, none, performance"),
        ("result=VALD", "result=VALD: unknown; did you mean VALID?"),
        ("batch=many", "batch=many: must be a number; or batch=none"),
        ("batch=nan", "batch=nan: must be a number"),
        ("busy=maybe", "busy=maybe: unknown; choose one of: true, false, none"),
        ("model<x", "model<x: model has no order; use model=VALUE or model!=VALUE"),
        ("started_at>yesterday", "started_at=yesterday: must be a date, or a date and time; as in 2026-11-23T18:30"),
        ("model=", "model=: has no value; give a value, or model=none"),
        ("outputs", "outputs: no filter"),
    ],
)
def test_a_wrong_word_is_one_clear_line(word, line):
    with pytest.raises(ConfigError) as caught:
        parse_filters([word])
    assert str(caught.value).startswith(line)


def test_all_wrong_words_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_filters(["modle=x", "model=digits", "batch=many"])
    assert len(caught.value.problems) == 2


def test_a_folder_that_is_there_is_none_of_the_filters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=1").mkdir()
    folders, filters = split_words(["lr=1", "model=digits", "other"])
    assert [str(folder) for folder in folders] == ["lr=1", "other"]
    assert str(filters) == "model=digits"
    assert is_filter("model=" + "x" * 5000)  # no path is as long


def test_why_nothing_was_found_names_the_filter_and_what_there_is(trials):
    why = why_empty(parse_filters(["model=resnet", "batch=100"]), trials)
    assert why == ("model=resnet finds none of 4 records; model has: digits",)
    why = why_empty(parse_filters(["p99_ms<1"]), trials)
    assert why[0].startswith("p99_ms<1 finds none of 4 records; p99_ms has: 1")
    assert why[0].endswith(", none")
    assert why_empty(parse_filters(["result=VALID", "batch=400"]), trials) == (
        "none of 4 records passes all filters; alone result=VALID finds 2, batch=400 finds 1",
    )
    assert why_empty(parse_filters(["busy=true"]), trials) == ("busy=true finds none of 4 records; busy has: none",)
    assert why_empty(parse_filters([]), ()) == ("no test was finished here yet",)
