import pytest
from tests.submission.official import Official
from tests.submission.trees import Broken, export_real


@pytest.fixture
def official(tmp_path):
    """Write official tests into an output folder."""
    return Official(tmp_path / "outputs")


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    return export_real(tmp_path_factory.mktemp("real"))


@pytest.fixture
def broken(trees, tmp_path):
    """A v5.1 tree to be broken."""
    return Broken(trees["v5.1"], tmp_path / "tree")
