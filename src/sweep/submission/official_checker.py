"""Runs the official submission checker, from the user's own checkout of mlcommons/inference, and reads what it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import ConfigError, Problem
from sweep.submission.findings import Severity

_PACKAGE, _MAIN = "submission_checker", "main.py"
_SCRIPTS = ("submission_checker.py", "submission-checker.py")
_BELOW = ("", "tools/submission")
"""Where in a checkout it may lie."""

_LEVEL = re.compile(r"(?:^|[\s\[:])(ERROR|WARNING|CRITICAL)(?:$|[\s\]:])")
_SUMMARY = re.compile(r"SUMMARY: (.*)")
_LINES_MAX = 500
_LINE_MAX = 400
_LAST_LINES = 5


@dataclass(frozen=True)
class OfficialFinding:
    """One line of the checker's.

    Attributes:
        severity: As it says.
        text: The line, without the tree's own path.
    """

    severity: Severity
    text: str


@dataclass(frozen=True)
class OfficialReport:
    """What the checker said.

    Attributes:
        command: How it was run.
        findings: Its errors and warnings, in order.
        summary: Its last word (`submission looks OK`); empty where it had none.
        exit_code: Its exit code; None where it took too long.
        failure: Why it did not come to its end; empty where it did.
    """

    command: tuple[str, ...]
    findings: tuple[OfficialFinding, ...]
    summary: str
    exit_code: int | None
    failure: str

    @property
    def passed(self) -> bool:
        """Whether it ran to its end and is content."""
        return not self.failure and self.exit_code == 0


def run_official_checker(checker: Path, tree: Path, round_name: str, *, timeout_s: float = 600) -> OfficialReport:
    """Run the checker on a tree; it writes nothing there.

    Args:
        checker: A checkout of mlcommons/inference, a folder in it, or the checker's own file.
        tree: The root of the submission.
        round_name: The round.
        timeout_s: How long it may take.

    Raises:
        ConfigError: There is no checker.
    """
    command, folder = _command(checker)
    with tempfile.TemporaryDirectory(prefix="sweep-checker-") as work:
        arguments = ["--input", str(tree.absolute()), "--version", round_name, "--csv", str(Path(work) / "summary.csv")]
        whole = (*command, *arguments)
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            whole,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout_s)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            _end(process)
            output, _ = process.communicate()
            code = None
        except BaseException:
            _end(process)
            raise
    return _report(whole, output.decode("utf-8", "replace"), code, str(tree.absolute()), timeout_s)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, with whatever it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


def _command(checker: Path) -> tuple[tuple[str, ...], Path]:
    """Return how the checker is run, and the folder that its modules are in."""
    named, checker = checker, Path(os.path.realpath(checker))
    if os.path.isfile(checker):  # noqa: PTH113  (of a name that is too long for a path, pathlib makes an error)
        if checker.name == _MAIN and checker.parent.name == _PACKAGE:
            return _as_module(checker.parent.parent)
        return (sys.executable, str(checker.absolute())), checker.absolute().parent
    for place in (checker.parent if checker.name == _PACKAGE else checker, *(checker / below for below in _BELOW)):
        if os.path.isfile(place / _PACKAGE / _MAIN):  # noqa: PTH113
            return _as_module(place)
        for script in _SCRIPTS:
            if os.path.isfile(place / script):  # noqa: PTH113
                return (sys.executable, str((place / script).absolute())), place.absolute()
    there = os.path.lexists(checker)
    reason = f"has no {_PACKAGE}/{_MAIN} and no {' or '.join(_SCRIPTS)}" if there else "does not exist"
    fix = "give your checkout of mlcommons/inference, or its tools/submission"
    raise ConfigError(Problem("--checker", str(named), reason, fix))


def _as_module(folder: Path) -> tuple[tuple[str, ...], Path]:
    return (sys.executable, "-m", f"{_PACKAGE}.main"), folder.absolute()


def _report(command: tuple[str, ...], output: str, code: int | None, tree: str, timeout_s: float) -> OfficialReport:
    lines = [line.replace(f"{tree}/", "").rstrip()[:_LINE_MAX] for line in output.splitlines()]
    findings = []
    for line in lines:
        if (level := _LEVEL.search(line)) and "SUMMARY:" not in line:
            severity = Severity.WARNING if level[1] == "WARNING" else Severity.ERROR
            findings.append(OfficialFinding(severity, line))
    summary = next((match[1] for line in reversed(lines) if (match := _SUMMARY.search(line))), "")
    failure = ""
    if code is None:
        failure = f"it did not end within {timeout_s:g} s"
    elif not summary:
        last = [line for line in lines if line.strip()][-_LAST_LINES:]
        failure = f"it ended with exit code {code} and without its summary: {' | '.join(last) or 'no output'}"
    if (more := len(findings) - _LINES_MAX) > 0:
        findings = [*findings[:_LINES_MAX], OfficialFinding(Severity.ERROR, f"... and {more} more lines")]
    return OfficialReport(command, tuple(findings), summary, code, failure)
