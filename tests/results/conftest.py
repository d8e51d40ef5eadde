"""Output folders made by hand for what reads results."""

import pytest
from tests.points import Outputs


@pytest.fixture
def outputs(tmp_path):
    return Outputs(tmp_path / "outputs")


@pytest.fixture
def three(outputs, searches):
    """An output folder with a command of three tests: N=100 and 200 VALID, 400 INVALID."""
    outputs.grid([searches.test(n) for n in (100, 200, 400)])
    return outputs
