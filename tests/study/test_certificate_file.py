"""A certificate comes back from its file as it went there, or not at all."""

import json

import pytest

from sweep.errors import RecordError
from sweep.paths import write_json
from sweep.study.certificate_file import certificate_json, read_certificate

CASES = ("exact", "interval", "none_valid", "all_valid", "single", "failed")


@pytest.mark.parametrize("case", CASES)
def test_a_certificate_comes_back_as_it_was(searches, tmp_path, case):
    outcome = getattr(searches, case)(label={"model": "digits"}, notes=("stand-in engine",))
    path = tmp_path / "certificate.json"
    write_json(path, certificate_json(outcome))
    read = read_certificate(path)
    assert read.plan == outcome.plan
    assert read.certificate == outcome.certificate
    assert [test["directory"] for test in read.data["tests"]] == [
        str(test.outcome.stored.directory) for test in outcome.tests
    ]
    assert read.data["spec_digest"] == outcome.plan.spec.digest
    assert read.data["environment_digest"] == outcome.tests[0].outcome.stored.result.environment_digest


def _dropped(data, key):
    return {name: value for name, value in data.items() if name != key}


DAMAGES = {
    "cut off": lambda data: json.dumps(data)[:200],
    "no record": lambda data: "[1]",
    "no version": lambda data: json.dumps(_dropped(data, "schema_version")),
    "no question": lambda data: json.dumps(_dropped(data, "question")),
    "no tests": lambda data: json.dumps(_dropped(data, "tests")),
    "unknown status": lambda data: json.dumps({**data, "certificate": {**data["certificate"], "status": "sure"}}),
    "another spec": lambda data: json.dumps({**data, "spec_digest": "0" * 64}),
    "newer": lambda data: json.dumps({**data, "schema_version": 99}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_newer_certificate_is_refused_by_name(searches, tmp_path, damage):
    path = tmp_path / "certificate.json"
    path.write_text(DAMAGES[damage](certificate_json(searches.single())))
    with pytest.raises(RecordError, match="certificate.json"):
        read_certificate(path)


def test_a_missing_certificate_is_a_record_error(tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        read_certificate(tmp_path / "none.json")
