"""The worker's program, in this process: what it does when LoadGen itself breaks."""

import io
import json

import pytest

pytest.importorskip("mlperf_loadgen")

from sweep.trial import worker as worker_module
from sweep.trial.query_log import QueryLogReader, QueryLogWriter


class Exited(BaseException):
    """Stands for the end of the process."""


def test_an_engine_that_remembers_its_queries_serves_one_trial(simulated, request_for, monkeypatch):
    """Its second trial would begin in the middle of the noise, and past the query at which a fault is due."""
    monkeypatch.setattr(worker_module, "run_test", lambda *_: None)
    reader = QueryLogReader()
    worker = worker_module.Worker(io.StringIO(), QueryLogWriter(reader.descriptor))
    engines = []
    for _ in range(2):
        worker.serve(request_for(simulated()))
        engines.append(worker._engine)
    assert None not in engines
    assert engines[0] is not engines[1]


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError("gone"), RuntimeError("refused")])
def test_after_an_error_through_loadgen_the_process_ends(simulated, request_for, monkeypatch, error):
    """LoadGen is not to be used again: its next test would end the process, and fail a trial that did nothing wrong."""

    def run_test(*_):
        raise error

    def leave(code):
        raise Exited(code)

    monkeypatch.setattr(worker_module, "run_test", run_test)
    monkeypatch.setattr(worker_module.os, "_exit", leave)
    events, reader = io.StringIO(), QueryLogReader()
    worker = worker_module.Worker(events, QueryLogWriter(reader.descriptor))
    with pytest.raises(Exited):
        worker.serve(request_for(simulated()))
    last = json.loads(events.getvalue().splitlines()[-1])
    assert (last["event"], last["fatal"]) == ("fault", True)
    assert str(error) in last["message"]
    assert last["kind"] == ("out of memory" if isinstance(error, MemoryError) else "unexpected error")
