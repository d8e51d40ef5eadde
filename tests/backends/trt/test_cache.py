"""Engines in the cache: used when they are exactly what is wanted, whole, and built once."""

import contextlib
import fcntl
import json
import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from sweep.backends.trt.build import Built
from sweep.backends.trt.cache import LIMIT_GB, EngineCache, Timings, limit_bytes
from sweep.backends.trt.files import CheckedFile, InUse, locked, remove_unused
from sweep.errors import BackendError, ConfigError

IDENTITY = {"recipe": 1, "gpu": "RTX A6000", "model": "sha256:1", "profile": {"smallest": 4}, "tf32": True}
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path)


class Builder:
    def __init__(self, data=b"an engine"):
        self.data, self.builds = data, 0

    def __call__(self):
        self.builds += 1
        return Built(self.data, 2.5)


def test_an_engine_is_built_once(cache):
    build = Builder()
    first, second = cache.get(IDENTITY, build), cache.get(IDENTITY, build)
    assert build.builds == 1
    assert (first.data, first.from_cache, first.build_s) == (b"an engine", False, 2.5)
    assert (second.data, second.from_cache, second.build_s) == (b"an engine", True, 2.5)
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("key", [*IDENTITY, "added"])
def test_each_part_of_the_identity_counts(cache, key):
    cache.get(IDENTITY, Builder())
    assert cache.find({**IDENTITY, key: "another"}) is None


def test_what_an_engine_is_stands_beside_it(cache):
    note = Path(f"{cache.get(IDENTITY, Builder()).path}.json")
    assert json.loads(note.read_text())["identity"] == IDENTITY


def _flip(path):
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)


def _change(**values):
    def change(path):
        note = Path(f"{path}.json")
        note.write_text(json.dumps({**json.loads(note.read_text()), **values}))

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-2]), "it is 7 bytes, not 9"),
        (lambda path: path.write_bytes(b""), "it is 0 bytes, not 9"),
        (_flip, "its digest is another"),
        (lambda path: Path(f"{path}.json").unlink(), "is missing"),
        (lambda path: Path(f"{path}.json").write_text('{"sha256": "'), "is damaged"),
        (lambda path: Path(f"{path}.json").write_text("[]"), "is damaged"),
        (lambda path: Path(f"{path}.json").write_bytes(b"\xff\xfe"), "is damaged"),
        (_change(schema_version=2), "another sweep"),
        (_change(identity={"model": "sha256:2"}), "built for something else"),
        (_change(sha256="0" * 64), "its digest is another"),
        (_change(size="9"), "it is 9 bytes, not 9"),
        (_change(build_s="soon"), "is damaged"),
    ],
    ids=[
        "cut",
        "empty",
        "flipped",
        "no note",
        "cut note",
        "list",
        "binary",
        "newer",
        "foreign",
        "digest",
        "size",
        "time",
    ],
)
def test_what_is_not_to_be_trusted_is_said_and_built_again(cache, capsys, damage, said):
    build = Builder()
    path = cache.get(IDENTITY, build).path
    damage(path)
    again = cache.get(IDENTITY, build)
    assert (again.data, again.from_cache, build.builds) == (b"an engine", False, 2)
    assert said in capsys.readouterr().err
    assert cache.get(IDENTITY, build).from_cache


def test_a_missing_engine_is_no_news(cache, capsys):
    assert cache.find(IDENTITY) is None
    assert capsys.readouterr().err == ""


def test_a_refused_engine_is_built_again_unless_another_process_has_done_so(cache):
    old = cache.get(IDENTITY, Builder(b"old"))
    build = Builder(b"new")
    assert cache.get(IDENTITY, build, refused=old.sha256).data == b"new"
    assert cache.get(IDENTITY, build, refused=old.sha256).from_cache
    assert build.builds == 1


def test_a_failed_build_leaves_nothing(cache):
    def fail():
        raise BackendError("no")

    with pytest.raises(BackendError, match="no"):
        cache.get(IDENTITY, fail)
    assert cache.find(IDENTITY) is None
    assert cache.get(IDENTITY, Builder()).data == b"an engine"


def test_an_error_of_the_build_is_not_taken_for_one_of_the_cache(cache):
    def fail():
        raise FileNotFoundError("the model is gone")

    with pytest.raises(FileNotFoundError, match="the model is gone"):
        cache.get(IDENTITY, fail)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "engines").write_text("in the way")
    with pytest.raises(
        ConfigError, match=r"^SWEEP_CACHE=.*engines: cannot use the cache folder: .*; set SWEEP_CACHE to"
    ):
        EngineCache(tmp_path).get(IDENTITY, Builder())


def test_an_engine_in_a_folder_that_cannot_be_written_is_used(cache, monkeypatch):
    cache.get(IDENTITY, Builder())
    monkeypatch.setattr("sweep.backends.trt.cache.locked", lambda *_: pytest.fail("wants to write"))
    assert cache.get(IDENTITY, Builder()).from_cache


def _build_slowly(root, counter):
    def build():
        with counter.open("a") as file:
            file.write("built\n")
        time.sleep(0.5)
        return Built(b"an engine", 0.5)

    return EngineCache(root).get(IDENTITY, build)


def _get_in_another_process(root, counter, pipe):
    found = _build_slowly(root, counter)
    pipe.send((found.data, found.from_cache))


def test_two_processes_build_one_engine(tmp_path):
    counter = tmp_path / "counter"
    pipes, processes = [], []
    for _ in range(2):
        ours, theirs = SPAWN.Pipe()
        processes.append(SPAWN.Process(target=_get_in_another_process, args=(tmp_path, counter, theirs)))
        pipes.append(ours)
    for process in processes:
        process.start()
    answers = [pipe.recv() for pipe in pipes if pipe.poll(60)]
    for process in processes:
        process.join()
    assert sorted(answers) == [(b"an engine", False), (b"an engine", True)]
    assert counter.read_text() == "built\n"


def _die_while_building(root):
    def build():
        (root / "building").touch()
        time.sleep(60)

    EngineCache(root).get(IDENTITY, build)


def test_a_builder_that_was_killed_holds_up_nobody(tmp_path):
    process = SPAWN.Process(target=_die_while_building, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "building").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.join()
    build = Builder()
    assert EngineCache(tmp_path).get(IDENTITY, build).data == b"an engine"
    assert build.builds == 1


def test_who_waits_for_a_lock_says_so(tmp_path, capsys):
    def wait():
        with locked(tmp_path / "lock", "waiting for another"):
            pass

    waiter = threading.Thread(target=wait)
    with locked(tmp_path / "lock", "not said"):
        waiter.start()
        waiter.join(0.2)
        assert waiter.is_alive()
        assert capsys.readouterr().err == "waiting for another\n"
    waiter.join(60)
    assert not waiter.is_alive()


def _hold(root, number, pipe):
    found = EngineCache(root).get({**IDENTITY, "number": number}, Builder())
    pipe.send(found.from_cache)
    pipe.recv()


class TestLimit:
    @pytest.fixture
    def engine(self, cache, monkeypatch):
        """Store an engine of 1 MB, or use it; the cache has room for three."""
        monkeypatch.setenv(LIMIT_GB, "0.0035")

        def engine(number):
            return cache.get({**IDENTITY, "number": number}, Builder(b"x" * 1_000_000))

        return engine

    def there(self, cache):
        return {number for number in range(9) if cache.path({**IDENTITY, "number": number}).exists()}

    def test_what_was_used_least_recently_goes_first(self, engine, cache, capsys):
        for number in (0, 1, 2):
            engine(number)
        assert engine(0).from_cache
        engine(3)
        assert self.there(cache) == {0, 2, 3}
        assert "was removed" in capsys.readouterr().err
        engine(4)
        assert self.there(cache) == {0, 3, 4}

    def test_what_belongs_to_an_engine_goes_with_it(self, engine, cache):
        first = engine(0)
        cache.kernels({**IDENTITY, "number": 0}).update(lambda kept: b"kernels")
        first.in_use.release()
        for number in (1, 2, 3):
            engine(number)
        left = [path.name for path in cache.folder.glob(f"{first.path.stem}*") if path.stat().st_size]
        assert left == []
        count, size = cache.usage()
        assert count == 3
        assert size == sum(path.stat().st_size for path in cache.folder.iterdir()) < 3_500_000

    def test_one_in_use_stays_until_it_is_let_go(self, engine, cache):
        kept = engine(0)
        for number in (1, 2, 3, 4):
            engine(number)
        assert 0 in self.there(cache)
        kept.in_use.release()
        engine(5)
        assert 0 not in self.there(cache)

    def test_one_that_another_process_uses_stays_until_that_ends(self, engine, cache):
        ours, theirs = SPAWN.Pipe()
        engine(0)
        process = SPAWN.Process(target=_hold, args=(cache.folder.parent, 0, theirs))
        process.start()
        assert ours.poll(60)
        assert ours.recv() is True
        for number in (1, 2, 3, 4):
            engine(number)
        assert 0 in self.there(cache)
        process.kill()
        process.join()
        engine(5)
        assert 0 not in self.there(cache)

    @pytest.mark.parametrize("again", [True, False])
    def test_one_that_is_replaced_while_a_lock_is_waited_for_is_not_taken_for_the_old(
        self, cache, monkeypatch, tmp_path, again
    ):
        """Whoever holds or removes it must have the lock of the file that is there, not of one that has gone."""
        path, take = tmp_path / "file", fcntl.flock
        path.write_bytes(b"old")

        def replaced(descriptor, how):
            monkeypatch.setattr(fcntl, "flock", take)
            path.unlink()
            path.write_bytes(b"new")
            take(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", replaced)
        if again:
            held = InUse(path)
            assert remove_unused(path) == 0
            held.release()
            assert remove_unused(path) == 3
        else:
            assert remove_unused(path) == 0
            assert path.read_bytes() == b"new"

    def test_an_engine_larger_than_the_limit_is_kept_while_it_is_used(self, cache, monkeypatch):
        monkeypatch.setenv(LIMIT_GB, "0")
        assert cache.get(IDENTITY, Builder()).data == b"an engine"
        assert not cache.get({**IDENTITY, "number": 1}, Builder()).from_cache
        assert cache.find(IDENTITY) is None

    def test_it_has_a_default(self, monkeypatch):
        monkeypatch.delenv(LIMIT_GB, raising=False)
        assert limit_bytes() == 20_000_000_000
        monkeypatch.setenv(LIMIT_GB, "")
        assert limit_bytes() == 20_000_000_000

    @pytest.mark.parametrize("value", ["ten", "-1", "nan", "inf", "10 GB"])
    def test_what_is_no_limit_is_one_line(self, monkeypatch, value):
        monkeypatch.setenv(LIMIT_GB, value)
        with pytest.raises(ConfigError, match=rf"^{LIMIT_GB}={value}: is no size in GB; set a number such as 20"):
            limit_bytes()


class TestCheckedFile:
    def test_it_gives_back_what_it_was_given(self, tmp_path):
        file = CheckedFile(tmp_path / "folder" / "file")
        assert file.read() == b""
        file.update(lambda kept: kept + b"one")
        file.update(lambda kept: kept + b" two")
        assert file.read() == b"one two"

    @pytest.mark.parametrize("data", [b"short", b"x" * 100])
    def test_damage_counts_as_nothing(self, tmp_path, data, capsys):
        (tmp_path / "file").write_bytes(data)
        assert CheckedFile(tmp_path / "file").read() == b""
        assert "is damaged" in capsys.readouterr().err

    def test_a_folder_that_cannot_be_written_costs_only_time(self, tmp_path, capsys):
        (tmp_path / "folder").write_text("in the way")
        CheckedFile(tmp_path / "folder" / "file").update(lambda kept: b"data")
        assert "cannot be written" in capsys.readouterr().err


class TimingCache:
    """Stands in for TensorRT's: a set of letters."""

    def __init__(self, data, fits=True):
        self.letters, self.fits = set(data), fits

    def combine(self, other, ignore_mismatch):
        assert ignore_mismatch is False
        self.letters |= other.letters
        return self.fits

    def serialize(self):
        return bytes(sorted(self.letters))


class Config:
    def __init__(self, measured, fits=True):
        self.measured, self.fits = measured, fits

    def get_timing_cache(self):
        return TimingCache(self.measured)

    def create_timing_cache(self, data):
        return TimingCache(data, self.fits)


class TestTimings:
    @pytest.fixture
    def timings(self, tmp_path):
        return lambda gpu="RTX A6000-8.6": Timings(tmp_path, "tensorrt", "11.4.0", gpu)

    def test_another_builds_times_are_kept_too(self, timings):
        ours, theirs = timings(), timings()
        assert ours.read() == theirs.read() == b""
        theirs.merge(Config(b"b"))
        ours.merge(Config(b"a"))
        assert timings().read() == b"ab"

    def test_times_that_do_not_fit_are_replaced(self, timings):
        ours = timings()
        timings().merge(Config(b"b"))
        ours.merge(Config(b"a", fits=False))
        assert timings().read() == b"a"

    def test_each_gpu_has_its_own(self, timings):
        timings().merge(Config(b"b"))
        assert timings("RTX A5000-8.6").read() == b""
        assert timings("RTX/../A6000-8.9").read() == b""
        assert timings("RTX/../A6000-8.9").file.path.parent == timings().file.path.parent


def test_a_lock_is_free_after_an_error(tmp_path):
    with contextlib.suppress(RuntimeError), locked(tmp_path / "lock", ""):
        raise RuntimeError
    with locked(tmp_path / "lock", ""):
        pass
