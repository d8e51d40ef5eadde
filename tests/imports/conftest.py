"""Imports into an output folder of the test's own."""

import pytest
from tests.imports.entries import write_folder

from sweep.imports.ck import import_ck


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def imported(tmp_path, outputs):
    """Import entries as a folder, and return what became of it."""

    def run(*entries):
        folder = tmp_path / "repository"
        for entry in entries:
            write_folder(folder, entry.files())
        return import_ck([folder], outputs)

    return run


@pytest.fixture
def result_of(imported):
    """Import one entry of one run, and return its record."""

    def run(entry):
        done = imported(entry)
        assert not done.problems
        (stored,) = done.stored
        return stored.result

    return run


@pytest.fixture
def refused(imported, outputs):
    """Import one entry that cannot be, check that nothing was written, and return why."""

    def run(entry):
        done = imported(entry)
        assert done.stored == []
        assert not [path for path in outputs.rglob("*") if path.is_file()]
        (problem,) = done.problems
        return problem

    return run
