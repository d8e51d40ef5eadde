"""Writes the tree of a submission: beside its place, complete, then by one rename."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.errors import ConfigError, Problem, unwritable
from sweep.paths import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG, AttemptPaths, read_bytes
from sweep.submission import documents
from sweep.submission.layout import (
    ACCURACY_TXT,
    MLPERF_CONF,
    PERFORMANCE_FILES,
    README,
    USER_CONF,
    ResultPaths,
    SubmitterPaths,
    scenario_folder,
)
from sweep.submission.plan import Chosen, Plan
from sweep.submission.rounds import ACCURACY_LOG_KEPT, ACCURACY_LOG_MAX

LEFT_OUT_OF_LOG = b"\n\n...\n\n"
"""What stands for the middle of a log of answers that was too long."""

_FIELD = "--out"
_NO_USER_CONF = "# The imported entry came without a user.conf.\n"


def check_free(out: Path) -> None:
    """Refuse to write where something lies.

    Raises:
        ConfigError: It does.
    """
    if os.path.lexists(out):
        raise ConfigError(Problem(_FIELD, str(out), "exists already", "remove it, or choose another folder with --out"))


def write_tree(plan: Plan, out: Path) -> None:
    """Write a submission; all of it appears at once, or nothing does.

    Args:
        plan: What is in it.
        out: Its folder, which must not exist.

    Raises:
        ConfigError: It exists, or cannot be written.
    """
    check_free(out)
    try:
        with _staging(out) as staging:
            _write(plan, staging)
            check_free(out)
            staging.rename(out)
    except OSError as error:
        raise unwritable(out, error, _FIELD) from error


def shortened(log: bytes) -> bytes:
    """Return a log of answers as submissions may have it: both ends of one that is too long."""
    if len(log) <= ACCURACY_LOG_MAX:
        return log
    return log[:ACCURACY_LOG_KEPT] + LEFT_OUT_OF_LOG + log[-ACCURACY_LOG_KEPT:]


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """Give a folder beside the place of the tree; it is removed unless it was renamed."""
    place = out.absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name[:100]}-"))
    try:
        staging.chmod(0o755)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(plan: Plan, root: Path) -> None:
    paths = SubmitterPaths(root, plan.division, plan.submitter)
    for system in plan.systems:
        _put(paths.system(system), documents.system_json(plan, system))
    for one in plan.results:
        _write_result(one, ResultPaths(paths, one.system, one.folder, _scenario(one)))
        _put(paths.code(plan.rules, one.folder, one.implementation) / README, documents.code_readme(one))
    _put(paths.calibration, documents.calibration_md(plan.results))
    if plan.rules.has_mapping and plan.mapping:
        _put(paths.model_mapping, documents.mapping_json(plan))


def _scenario(one: Chosen) -> str:
    return scenario_folder(one.demand.rules, str(one.result.spec.scenario))


def _write_result(one: Chosen, paths: ResultPaths) -> None:
    rules = one.demand.rules
    performance, accuracy = AttemptPaths(one.performance.stored.directory), AttemptPaths(one.accuracy.directory)
    for name in PERFORMANCE_FILES:
        _put(paths.performance / name, (performance.directory / name).read_bytes())
    _put(paths.accuracy / SUMMARY_LOG, accuracy.summary.read_bytes())
    # An imported accuracy test may have come without it.
    if accuracy.detail.is_file() and (detail := accuracy.detail.read_bytes()):
        _put(paths.accuracy / DETAIL_LOG, detail)
    answers = accuracy.accuracy.read_bytes()
    _put(paths.accuracy / ACCURACY_LOG, shortened(answers))
    score = one.accuracy.result.accuracy
    if score is None:
        raise ValueError("a result without an accuracy was chosen")
    _put(paths.accuracy / ACCURACY_TXT, documents.accuracy_txt(score, hashlib.sha256(answers).hexdigest()))

    folder = paths.measurements(rules)
    _put(paths.measurements_file(rules, one.implementation), documents.measurements_json(one))
    _put(folder / README, documents.result_readme(one))
    _put(folder / USER_CONF, _kept(performance.user_conf) or _NO_USER_CONF)
    if rules.wants_mlperf_conf:
        _put(folder / MLPERF_CONF, _kept(performance.directory / MLPERF_CONF) or documents.mlperf_conf(one))


def _kept(path: Path) -> bytes:
    """Return a file that may not be there; what cannot be read is not, as `plan` has it."""
    try:
        return read_bytes(path)
    except OSError:
        return b""


def _put(path: Path, content: bytes | str) -> None:
    if ".." in path.parts:
        raise ValueError(f"{path} leads out of the tree")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
