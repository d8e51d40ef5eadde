"""The system file: what `submission init` writes, and what becomes of what a user writes into it."""

import json
from pathlib import Path

import pytest
import yaml
from tests.submission.official import small

from sweep.cli import main
from sweep.errors import ConfigError
from sweep.submission import rounds
from sweep.submission.system_file import read_system_file
from sweep.vocabulary import Weights

SYSTEM = "cpu-of-tests-8-cores-onnxruntime"


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.setitem(rounds.ROUNDS, "v5.1", small("v5.1"))
    monkeypatch.chdir(tmp_path)


def submission(capsys, *arguments):
    code = main(["submission", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_init_writes_every_field_once_and_export_reads_it_back(official, capsys, tmp_path):
    official.performance()
    official.accuracy()
    code, out, _ = submission(capsys, "init", official.root, "--submitter", "Us", "--out", "s.yaml")
    assert code == 0
    assert "8 fields are not stated" in out
    said = yaml.safe_load((tmp_path / "s.yaml").read_text())
    fields = {f for rules in rounds.ROUNDS.values() for f in rules.system_fields} - {"division", "submitter"}
    assert set(said["systems"][SYSTEM]) == {"environment", "backend", *fields}
    assert said["models"]["digits"]["benchmark"] == "resnet"
    text = (
        (tmp_path / "s.yaml").read_text().replace(SYSTEM, "ours_v1.0").replace('cooling: "not stated"', "cooling: no")
    )
    (tmp_path / "s.yaml").write_text(text)
    code, _, err = submission(
        capsys, "export", official.root, "--round", "v5.1", "--division", "open", "--system-file", "s.yaml"
    )
    assert (code, err) == (0, "")
    system = json.loads((tmp_path / "submission-v5.1/open/Us/systems/ours_v1.0.json").read_text())
    assert (system["submitter"], system["cooling"], system["host_processor_core_count"]) == ("Us", "no", "8")


def test_init_names_two_environments_apart(official, capsys, tmp_path):
    for version in ("1.31", "1.32"):
        official.performance(machine={"packages": {"onnxruntime": version}})
    assert submission(capsys, "init", official.root, "--out", "s.yaml")[0] == 0
    names = [one.name for one in read_system_file(tmp_path / "s.yaml").systems]
    assert len(names) == len(set(names)) == 2
    assert all(name.startswith(f"{SYSTEM}-") for name in names)


def test_init_overwrites_nothing(official, capsys, tmp_path):
    official.performance()
    (tmp_path / "submission.yaml").write_text("mine")
    code, _, err = submission(capsys, "init", official.root)
    assert code == 2
    assert "--out=submission.yaml: exists already; choose another file with --out" in err
    assert (tmp_path / "submission.yaml").read_text() == "mine"


def test_closed_is_written_once_everything_is_stated(official, capsys, tmp_path):
    model = {"name": "resnet", "weights": Weights.REFERENCE}
    official.performance(model=model)
    official.accuracy(model=model)
    submission(capsys, "init", official.root, "--submitter", "Us", "--out", "s.yaml")
    path = tmp_path / "s.yaml"
    path.write_text(path.read_text().replace('"not stated"', '"1"'))
    code, out, err = submission(
        capsys, "export", official.root, "--round", "v5.1", "--division", "closed", "--system-file", "s.yaml"
    )
    assert (code, err) == (0, "")
    assert "closed also demands SingleStream and Offline results and compliance tests" in out
    (file,) = (tmp_path / "submission-v5.1").rglob("*_MultiStream.json")
    assert json.loads(file.read_text())["starting_weights_filename"] == "resnet50_v1.onnx"
    assert not list((tmp_path / "submission-v5.1").rglob("model_mapping.json"))


def test_a_benchmark_that_is_scored_otherwise_cannot_be_stood_for(official, capsys, tmp_path):
    official.performance()
    official.accuracy()
    (tmp_path / "s.yaml").write_text("submitter: Us\nmodels: {digits: {benchmark: retinanet}}\n")
    code, _, err = submission(
        capsys, "export", official.root, "--round", "v5.1", "--division", "open", "--system-file", "s.yaml"
    )
    assert code == 2
    assert "sweep scores top-1 accuracy, and retinanet wants mAP" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("submitter: [a]\n", "s.yaml: submitter: must be a text"),
        ("submitter: a/b\n", "s.yaml: submitter=a/b: is no name for files"),
        ("submiter: Us\n", "s.yaml: submiter: unknown; did you mean submitter?"),
        ("submitter: Us\nsubmitter: Us\n", "s.yaml: submitter: is given twice"),
        ("systems: 5\n", "s.yaml: systems: must hold keys and values"),
        ("[1, 2]\n", "s.yaml: must hold keys and values"),
        ("a: [\n", "--system-file=s.yaml: is no YAML from line 2 on"),
        ("systems:\n  a: {environment: 02c1c1}\n", "s.yaml: systems.a.backend: must be given"),
        (
            "systems:\n  a: {environment: 02c1, backend: x}\n",
            "s.yaml: systems.a.environment=02c1: tells no environment",
        ),
        (
            "systems:\n  a: {environment: '02c1c1, 99aabb', backend: x}\n",
            "s.yaml: systems.a.environment: names 2 environments (02c1c1, 99aabb), and a system is one",
        ),
        (
            "systems:\n  a: {environment: 02c1c1, backend: x}\n  b: {environment: 02c1c1, backend: x}\n",
            "s.yaml: systems.b.environment=02c1c1: is the environment of systems.a too",
        ),
        (
            "systems:\n  a: {environment: 02c1c1, backend: x}\n  A: {environment: 99aabb, backend: x}\n",
            "s.yaml: systems.A: differs from a by capitals alone",
        ),
        ("systems:\n  ä: {environment: 02c1c1, backend: x}\n", "s.yaml: systems=ä: is no name for files"),
        (
            "systems:\n  a: {environment: 02c1c1, backend: x, colling: air}\n",
            "s.yaml: systems.a.colling: unknown; did you mean cooling?",
        ),
        (
            "systems:\n  a: {environment: 02c1c1, backend: x, status: done}\n",
            "s.yaml: systems.a.status=done: unknown; choose one of: available, preview, rdi",
        ),
        (
            "systems:\n  a: {environment: 02c1c1, backend: x, accelerators_per_node: none}\n",
            's.yaml: systems.a.accelerators_per_node=none: is no whole number; such as "1"',
        ),
        ("models:\n  digits: {benchmark: resnett}\n", "s.yaml: models.digits.benchmark=resnett: unknown"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(tmp_path, text, message):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_system_file(Path("s.yaml"))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_digits_of_an_environment_are_text_whatever_number_they_spell(tmp_path):
    (tmp_path / "s.yaml").write_text("systems:\n  a:\n    environment: 000123\n    backend: x\n    cooling: no\n")
    (system,) = read_system_file(tmp_path / "s.yaml").systems
    assert (system.environment, system.fields["cooling"]) == ("000123", "no")


def test_entries_that_fit_no_test_are_said(official, capsys, tmp_path):
    """The digest of an environment changes with each update of a package: what was filled in must not vanish."""
    official.performance()
    official.accuracy()
    text = "submitter: Us\nsystems:\n  mine: {environment: abcdef, backend: onnxruntime}\nmodels: {digtis: {}}\n"
    (tmp_path / "s.yaml").write_text(text)
    code, out, _ = submission(
        capsys, "export", official.root, "--round", "v5.1", "--division", "open", "--system-file", "s.yaml"
    )
    assert code == 0
    assert "note: s.yaml: systems.mine is of none of these tests, whose environments are" in out
    assert "note: s.yaml: models.digtis is of none of these tests, whose models are digits" in out
