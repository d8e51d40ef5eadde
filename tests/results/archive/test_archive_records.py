"""Records and sweeps in an archive are what their places say."""

import json

import pytest
from tests.results.archive.bed import result_of, write

from sweep.results import archive_records
from sweep.results.merge import unpack


def _environment(data, **changes):
    return {**data, "environment": {**data["environment"], **changes}}


def _spec(data, **changes):
    return {**data, "spec": {**data["spec"], **changes}}


RECORDS = {
    "not JSON": (lambda _: "{", "is damaged: not JSON"),
    "NaN": (lambda data: {**data, "query_count": float("nan")}, "is damaged: not JSON"),
    "half a character": (lambda data: {**data, "why": "\ud800"}, "is damaged: not JSON"),
    "deep": (lambda _: "[" * 100_000, "is damaged: not JSON"),
    "a list": (lambda _: [], "is a damaged record: not a trial record"),
    "nothing in it": (lambda _: {"schema_version": 2}, "is a damaged record: damaged trial record"),
    "another machine": (lambda data: _environment(data, cpu="faster"), "its environment has another digest"),
    "no machine": (lambda data: {**data, "environment": 5}, "is a damaged record"),
    "another machine's digest": (lambda data: {**data, "environment_digest": "0" * 64}, "its environment has another"),
    "another spec": (lambda data: _spec(data, samples_per_query=9), "is a damaged record: .*the digest is the spec's"),
    "a spec of infinite size": (lambda data: _spec(data, samples_per_query=1e999), "is damaged: not JSON"),
    "another verdict": (lambda data: {**data, "result": "PERFECT"}, "is a damaged record"),
    "a number for a list": (lambda data: {**data, "notes": 5}, "is a damaged record"),
    "text for a number": (lambda data: {**data, "query_count": "many"}, "is a damaged record: .*query_count"),
    "a list for a text": (lambda data: {**data, "environment": {**data["environment"], "git": {}}}, None),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_that_is_none_is_refused(files, refuse, tmp_path, victim, case):
    """Its digest in the index is right: whoever made the archive has made it so."""
    change, reason = RECORDS[case]
    name = result_of(files)
    data = change(json.loads(files[name]))
    changed = {**files, name: data.encode() if isinstance(data, str) else json.dumps(data).encode()}
    archive = write(tmp_path / "x.zip", changed)
    if reason is None:  # what is noted for information decides nothing, and any table can hold it
        assert unpack(archive, victim / "outputs").attempts == 5
    else:
        refuse(archive, f"{name}: {reason}")


@pytest.mark.parametrize("part", ["model", "spec digest", "environment digest", "N"])
def test_a_record_in_the_folder_of_another_trial_is_refused(files, refuse, tmp_path, part):
    """A rerun would take it for the record of what it was asked to measure."""
    name = result_of(files)
    folder = name.split("/")[1]
    slug, spec, environment = folder.rsplit("-", 2)
    other = {
        "model": f"resnet{slug}-{spec}-{environment}",
        "spec digest": f"{slug}-{'0' * 12}-{environment}",
        "environment digest": f"{slug}-{spec}-{'0' * 6}",
        "N": f"{slug.replace('n8', 'n9')}-{spec}-{environment}",
    }[part]
    moved = {one.replace(folder, other): data.replace(folder.encode(), other.encode()) for one, data in files.items()}
    refuse(write(tmp_path / "x.zip", moved), f"{other}/001/result.json: belongs into the folder trials/{folder}")


@pytest.mark.parametrize("spec", [b"{}", b"[]", b"{", b'{"model": 5}'])
def test_a_spec_that_is_not_the_records_is_refused(files, refuse, tmp_path, spec):
    name = result_of(files).replace("result.json", "spec.json")
    refuse(write(tmp_path / "x.zip", {**files, name: spec}), f"{name}: is (damaged|a damaged spec)")


def test_the_spec_of_another_record_is_refused(files, refuse, tmp_path):
    name, other = (result_of(files, n).replace("result.json", "spec.json") for n in (8, 16))
    changed = {**files, name: files[other]}
    refuse(write(tmp_path / "x.zip", changed), f"{name}: is not the spec of the record beside it")


SWEEPS = {
    "not JSON": ("sweep.json", lambda _: "{", "is damaged: not JSON"),
    "no manifest": ("sweep.json", lambda _: {"trials": []}, "is damaged"),
    "a number for its attempts": ("sweep.json", lambda data: {**data, "trials": 5}, "is damaged"),
    "an attempt elsewhere": ("sweep.json", lambda data: {**data, "trials": ["/home/me/outputs/trials/x/001"]},
                             "names an attempt that is not in the archive: /home/me/"),
    "an attempt further up": ("sweep.json", lambda data: {**data, "trials": ["../../trials/x/001"]},
                              "names an attempt that is not in the archive"),
    "a sweep for an attempt": ("sweep.json", lambda data: {**data, "trials": ["sweeps/grid"]},
                               "names an attempt that is not in the archive: sweeps/grid"),
    "no certificate": ("digits.json", lambda _: {"schema_version": 1}, "is a damaged certificate: damaged certificate"),
    "a certificate of nothing": ("digits.json", lambda _: [], "is a damaged certificate: not a certificate"),
    "a test elsewhere": ("digits.json", lambda data: {**data, "tests": [{**data["tests"][0], "directory": "/etc/x"}]},
                         "names an attempt that is not in the archive: /etc/x"),
    "a test that is a number": ("digits.json", lambda data: {**data, "tests": [{**data["tests"][0], "directory": 5}]},
                                "is a damaged certificate"),
}  # fmt: skip


@pytest.mark.parametrize("case", SWEEPS)
def test_a_sweep_that_is_none_is_refused(files, refuse, tmp_path, case):
    file, change, reason = SWEEPS[case]
    name = f"sweeps/search/{file}"
    data = change(json.loads(files[name]))
    changed = {**files, name: data.encode() if isinstance(data, str) else json.dumps(data).encode()}
    refuse(write(tmp_path / "x.zip", changed), f"{name}: {reason}")


def test_a_sweep_without_its_manifest_is_refused(files, refuse, tmp_path):
    less = {name: data for name, data in files.items() if name != "sweeps/grid/sweep.json"}
    refuse(write(tmp_path / "x.zip", less), "sweeps/grid: has no sweep.json")


def test_a_record_that_fills_the_memory_is_refused(honest, files, refuse, monkeypatch):
    monkeypatch.setattr(archive_records, "_JSON_BYTES", 1000)
    refuse(honest, "json: is larger than 1000 bytes")
