"""Fixtures of grids on several GPUs."""

import os
import signal

import pytest
from tests.gpus import card
from tests.study.pools import Pools


@pytest.fixture
def pools(simulated, request_for, tmp_path):
    return Pools(simulated, request_for, tmp_path / "outputs")


@pytest.fixture
def two(gpu_machine):
    return gpu_machine(card(0), card(1))


@pytest.fixture
def ctrl_c():
    """Return what presses it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)
