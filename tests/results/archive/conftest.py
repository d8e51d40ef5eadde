"""An honest archive, a victim, and what refuses: each hostile archive is an honest one with one change."""

import os
import shutil

import pytest
from tests.results.archive.bed import Machine, read, tree
from tests.searches import Searches

from sweep.errors import ConfigError
from sweep.results.archive import pack
from sweep.results.merge import unpack
from sweep.results.selection import select


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch):
    """Whether these files survive a power cut does not matter, and waiting for every disk of the machine does."""
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="session")
def honest(tmp_path_factory):
    """Bytes of an honest archive with two attempts and two sweeps, one of them of a search."""
    folder = tmp_path_factory.mktemp("honest")
    return folder / "honest.zip"


@pytest.fixture
def files(simulated, request_for, honest, tmp_path):
    """The files of an honest archive, by name; it is made once."""
    if not honest.exists():
        machine = Machine(tmp_path / "far" / "outputs", Searches(simulated, request_for, tmp_path / "sweep"))
        machine.sweep("grid", [machine.attempt(8), machine.attempt(16)])
        machine.search("search")
        pack(select([machine.root]), honest)
    return read(honest)


@pytest.fixture
def victim(simulated, request_for, honest, tmp_path):
    """An output folder with an attempt in it, and something beside it; it is made once, and copied."""
    template = honest.with_name("home")
    if not template.exists():
        machine = Machine(template / "outputs", Searches(simulated, request_for, tmp_path / "sweep"), host="victim")
        machine.sweep("mine", [machine.attempt(8, seed=99)])
        (template / "notes.txt").write_text("mine")
    return shutil.copytree(template, tmp_path / "home")


@pytest.fixture
def refuse(victim, tmp_path):
    """Unpack an archive that must be refused for a reason, and see that nothing has changed anywhere."""

    def run(archive, match, **options):
        before = tree(tmp_path)
        with pytest.raises(ConfigError, match=match) as refused:
            unpack(archive, victim / "outputs", **options)
        assert tree(tmp_path) == before
        assert "\n" not in str(refused.value)
        assert str(refused.value).startswith(str(archive))
        new = tmp_path / "new" / "deep" / "outputs"
        with pytest.raises(ConfigError, match=match):
            unpack(archive, new, **options)
        assert tree(tmp_path) == before, "not even the output folder is made"

    return run
