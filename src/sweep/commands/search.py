"""`python -m sweep search=...`: run the searches, keep what they have shown, show it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from sweep.commands.bench import open_bench
from sweep.commands.manifest import Manifest
from sweep.config.build import Options, prepare_outputs
from sweep.config.hydra_app import Composition
from sweep.config.search import Search
from sweep.config.search_settings import Kind
from sweep.errors import SweepError, unwritable
from sweep.paths import OutputPaths, SweepPaths, write_json
from sweep.report.search_plot import write_search_plot
from sweep.report.search_table import write_search_table
from sweep.search.certificate import Status
from sweep.search.studies import Study, StudyBook, open_studies
from sweep.study.allowance import Purse
from sweep.study.certificate_file import certificate_json
from sweep.study.conduct import Conduct, Desk
from sweep.study.joint import JointConduct
from sweep.study.search import SearchOutcome
from sweep.terminal import SearchWatcher, console, show_search, show_searches
from sweep.trial.interrupts import InterruptGate
from sweep.vocabulary import SIGNAL_EXIT, ExitCode


def run_searches(
    searches: Sequence[Search], options: Options, composition: Composition, arguments: Sequence[str]
) -> int:
    """Run searches one after the other; return 0 when each has an answer, 1 when one has none, 130 for Ctrl-C.

    Raises:
        ConfigError: Studies cannot be opened, or nothing can be kept; nothing was measured then.
    """
    prepare_outputs(options.outputs)
    for note in dict.fromkeys(note for search in searches for note in search.notes):
        print(f"note: {note}", file=sys.stderr)
    paths = SweepPaths(composition.directory)
    with ExitStack() as stack:
        searches, studies = _open(searches, options, stack)
        gate = InterruptGate()
        manifest = Manifest(composition, arguments, planned=len(searches))
        command = _Command(searches, studies, options, paths, manifest, gate)
        return command.run(is_grid=composition.is_grid)


def _open(
    searches: Sequence[Search], options: Options, stack: ExitStack
) -> tuple[list[Search], list[tuple[StudyBook, Study]]]:
    """Open the study of every search before the first one begins; searches that start over get a study of their own."""
    journal = OutputPaths(options.outputs).studies
    books: dict[str | None, StudyBook] = {}
    named, studies = [], []
    for search in searches:
        if search.storage not in books:
            books[search.storage] = open_studies(search.storage, journal)
        book = books[search.storage]
        one = search if options.resume or search.has_given_name else search.named(_free(search.plan.name, book))
        study = book.study(one.plan.name, one.identity, options.resume)
        stack.callback(study.close)
        named.append(one)
        studies.append((book, study))
    return named, studies


def _free(name: str, book: StudyBook) -> str:
    taken = set(book.names())
    number = 2
    while name in taken:
        base = name if number == 2 else name.rpartition("-")[0]
        name = f"{base}-{number}"
        number += 1
    return name


def _has_failed(outcome: SearchOutcome) -> bool:
    """Say whether a search has no answer; that an engine is not accurate enough is one."""
    return bool(outcome.failure) or (outcome.certificate.status is Status.UNKNOWN and not outcome.accuracy_failed)


class _Command:
    """The searches of one command."""

    def __init__(
        self,
        searches: Sequence[Search],
        studies: Sequence[tuple[StudyBook, Study]],
        options: Options,
        paths: SweepPaths,
        manifest: Manifest,
        gate: InterruptGate,
    ) -> None:
        self._searches = searches
        self._studies = studies
        self._options = options
        self._paths = paths
        self._manifest = manifest
        self._gate = gate
        self._outcomes: list[SearchOutcome] = []

    def run(self, *, is_grid: bool) -> int:
        self._manifest.write(())
        stopped: KeyboardInterrupt | SweepError | None = None
        try:
            # Until its tables are written and shown, a finished search is not to be interrupted.
            with self._gate:
                stopped = self._measure()
                if self._outcomes:
                    self._show(is_grid=is_grid)
        except KeyboardInterrupt as late:
            stopped = stopped or late
        if isinstance(stopped, Exception):
            raise stopped
        if stopped is not None:
            by = "" if self._gate.signal is signal.SIGINT else f" by {self._gate.signal.name}"
            again = "the same command goes on from there"
            if not self._options.resume and self._outcomes:
                again = f"study={self._outcomes[-1].plan.name} instead of resume=false goes on from there"
            print(f"interrupted{by}: what was measured is kept; {again}", file=sys.stderr)
            return SIGNAL_EXIT + self._gate.signal
        return ExitCode.FAILED if any(map(_has_failed, self._outcomes)) else ExitCode.OK

    def _measure(self) -> KeyboardInterrupt | SweepError | None:
        """Search into the outcomes; return what stopped that early."""
        with SearchWatcher() as watcher, open_bench(self._options, self._gate, watcher.say) as shared:
            for number, (search, (book, study)) in enumerate(zip(self._searches, self._studies, strict=True)):
                gpus = () if search.gpu is None else (search.gpu,)
                bench = shared.on(gpus, exact="device" in search.plan.label)
                desk = Desk(bench, watcher, self._paths.directory, book.location)
                budget = search.budget
                purse = Purse(budget.seconds, budget.queries, budget.tests)
                conduct: Conduct | JointConduct
                if search.kind is Kind.JOINT:
                    conduct = JointConduct(search, desk, purse, study)
                else:
                    conduct = Conduct(search, desk, purse, study, (number, len(self._searches)))
                stopped: KeyboardInterrupt | SweepError | None = None
                try:
                    conduct.run()
                except (KeyboardInterrupt, SweepError) as reason:
                    stopped = reason
                finally:
                    self._gate.close()
                try:
                    self._keep(conduct.outcome(), study, search.identity)
                except SweepError as error:
                    stopped = stopped or error
                if stopped is not None:
                    return stopped
        return None

    def _keep(self, outcome: SearchOutcome, study: Study, asked: Mapping[str, Any]) -> None:
        """Write a certificate, its plot, and the tables of everything so far.

        Raises:
            ConfigError: The folder or the study cannot be written.
        """
        self._outcomes.append(outcome)
        name = outcome.plan.name
        data = certificate_json(outcome, asked)
        try:
            write_json(self._paths.certificate(name), data)
            if outcome.tests:
                write_search_plot(outcome, self._paths.plot(name))
            write_search_table(self._outcomes, self._paths.searches_csv)
        except OSError as error:
            raise unwritable(self._paths.directory, error, "hydra.sweep.dir") from error
        self._manifest.write([test.outcome for one in self._outcomes for test in one.tests])
        if outcome.certificate.status is not Status.UNKNOWN:  # it may have been better before
            study.set("certificate", data["certificate"] | {"evidence": []})

    def _show(self, *, is_grid: bool) -> None:
        out = console()
        if is_grid and len(self._searches) > 1:
            show_searches(out, self._outcomes)
        else:
            show_search(out, self._outcomes[0])
