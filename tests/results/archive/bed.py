"""Output folders made by hand, and archives of them, honest and hostile."""

import hashlib
import json
import stat
import struct
import zipfile
from dataclasses import replace

import numpy as np

from sweep.environment import fingerprint_digest
from sweep.paths import OutputPaths, SweepPaths, write_json
from sweep.results.archive_format import INDEX
from sweep.search.certificate import Status
from sweep.store.records import Store
from sweep.store.table import write_tables
from sweep.study.certificate_file import certificate_json
from sweep.study.measure import Outcome

STARTED, FINISHED = "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00"


class Machine:
    """An output folder of some machine, and what its sweeps left there.

    Args:
        root: The output folder.
        searches: Makes results and searches that nobody ran.
        host: Of the machine; its name decides nothing.
    """

    def __init__(self, root, searches, host="a"):
        self.root = root
        self._searches = searches
        self._host = host

    def attempt(self, n=8, *, seed=7, cpu=None):
        """Keep a record of N, with logs; of another seed it is another measurement."""
        result = self._searches.test(n, seed=seed).outcome.stored.result
        return self.keep(result, seed, cpu)

    def keep(self, result, seed=7, cpu=None):
        """Keep a result as an attempt of its own, with logs."""
        environment = {**result.environment, "hostname": self._host, **({"cpu": cpu} if cpu else {})}
        result = replace(result, environment=environment, environment_digest=fingerprint_digest(environment))
        store = Store(self.root)
        attempt = store.begin(result.spec, result.environment_digest)
        paths = attempt.paths
        for log in (paths.summary, paths.detail):
            log.write_text(f"{log.name} {seed}\n" * 40)
        np.save(paths.latencies, np.arange(100) + seed)
        paths.worker_log.write_text("")
        return store.finish(attempt, replace(result, attempt=attempt.number))

    def sweep(self, name, trials, *, outcomes=(), finished=FINISHED):
        """Keep a command, with tables, and with searches' certificates."""
        paths = SweepPaths(OutputPaths(self.root).sweeps / name)
        manifest = {
            "schema_version": 1,
            "arguments": ["model=digits", "-m", "batch=8,16"],
            "started_at": STARTED,
            "finished_at": finished,
            "planned": len(trials),
            "trials": [str(one.directory) for one in trials],
        }
        write_json(paths.manifest, manifest)
        if trials:
            write_tables(trials, paths)
        for outcome in outcomes:
            write_json(
                paths.certificate(outcome.plan.name), certificate_json(replace(outcome, directory=paths.directory))
            )
            paths.plot(outcome.plan.name).write_bytes(b"\x89PNG picture")
            paths.searches_csv.write_text("study\ndigits\n")
        return paths

    def search(self, name, *, seed=7):
        """Keep a search of three tests: its records, its certificate, its plot."""
        tests = [self._searches.test(n, seed=seed) for n in (4, 300, 320)]
        tests = [
            replace(one, outcome=Outcome(self.keep(one.outcome.stored.result, seed), reused=False)) for one in tests
        ]
        outcome = self._searches.outcome(Status.INTERVAL, tests, max_streams=300, confidence=0.99, first_invalid=320)
        return self.sweep(name, [one.outcome.stored for one in tests], outcomes=[outcome])


def tree(folder):
    """Return everything below a folder: names, kinds, permissions of files, contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (stat.S_IFMT(info.st_mode), content)
    return found


def read(archive):
    """Return the files of an archive, by name, without its index."""
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist() if name != INDEX}


def index_of(files, /, **changes):
    """Return an honest index of some files, less the changes."""
    lines = [
        {"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    ]
    return {"schema_version": 1, "created_at": STARTED, "sweep": "0.1.0", "files": lines, **changes}


def member(name, *, mode=stat.S_IFREG | 0o644, method=zipfile.ZIP_DEFLATED, **changes):
    """Return how a member is entered, less the changes."""
    info = zipfile.ZipInfo("x", (1980, 1, 1, 0, 0, 0))
    info.filename = info.orig_filename = name  # as it is, whatever the constructor would make of it
    info.create_system, info.external_attr, info.compress_type = 3, mode << 16, method
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def write(path, files, index=None, *, infos=None):
    """Write an archive of some files, with an honest index or another; `infos` enters some in another way."""
    everything = [*files.items()] if isinstance(files, dict) else list(files)
    index = index_of(dict(everything)) if index is None else index
    text = index if isinstance(index, bytes) else json.dumps(index).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in [*everything, (INDEX, text)]:
            archive.writestr((infos or {}).get(name) or member(name), data)
    return path


def directory_entry(data, name):
    """Return where the directory of an archive has the entry of a member."""
    at = data.index(b"PK\x01\x02")
    while data[at + 46 : at + 46 + struct.unpack_from("<H", data, at + 28)[0]] != name.encode():
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    return at


def entered(path, name, offset, layout, value, *, locally=None):
    """Change a field of a member's entry in the directory and, where `locally` is its place there, in its header."""
    data = bytearray(path.read_bytes())
    at = directory_entry(bytes(data), name)
    header = struct.unpack_from("<L", data, at + 42)[0]
    struct.pack_into(layout, data, at + offset, value)
    if locally is not None:
        struct.pack_into(layout, data, header + locally, value)
    path.write_bytes(data)
    return path


def result_of(files, n=8):
    """Return the name of the record of N."""
    return next(name for name in files if f"-n{n}-" in name and name.endswith("result.json"))
