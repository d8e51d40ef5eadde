import pytest
from tests.submission.official import Official


@pytest.fixture
def official(tmp_path):
    """Write official tests into an output folder."""
    return Official(tmp_path / "outputs")
