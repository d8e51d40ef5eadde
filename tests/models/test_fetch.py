"""Downloads against a server of our own that misbehaves on demand."""

import base64
import dataclasses
import errno
import hashlib
import http.server
import json
import multiprocessing
import os
import re
import socket
import threading
import time

import pytest

from sweep.errors import ConfigError
from sweep.models import fetch
from sweep.models.fetch import fetch_reference
from sweep.models.reference import verified_reference


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, with ranges.

    Attributes:
        data: The file.
        tag: Its ETag; None for none.
        ranges: Whether ranges are honoured.
        cuts: Per coming response, after how many bytes the connection drops.
        errors: Per coming response, a status to answer with instead.
        seen: The Range header of each request so far.
        location: Where to send the client instead.
        logins: The Authorization header of each request so far.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.tag, self.ranges = b"", '"one"', True
        self.cuts, self.errors, self.seen = [], [], []
        self.length = True
        self.location = None
        self.logins = []
        self.pause_s = 0.0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/files/tiny.onnx"

    def handle_error(self, request, client_address):
        """Stay quiet: dropped connections are what these tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        server.seen.append(self.headers.get("Range"))
        server.logins.append(self.headers.get("Authorization"))
        if server.errors and (status := server.errors.pop(0)):
            self.send_error(status)
            return
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.end_headers()
            return
        data, start = server.data, 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and server.ranges and self.headers.get("If-Range", server.tag) == server.tag:
            start = int(wanted[1])
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.length:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if server.cuts:
            body = body[: server.cuts.pop(0)]
        for offset in range(0, len(body), 1 << 16):
            self.wfile.write(body[offset : offset + (1 << 16)])
            time.sleep(server.pause_s)


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(fetch, "BACKOFF_S", 0.001)
    monkeypatch.setattr(fetch, "TIMEOUT_S", 5.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def data(network):
    """Return a valid model of 300,000 bytes: more than one chunk."""
    model = network()
    model.doc_string = "x" * (300_000 - model.ByteSize() - 4)
    assert model.ByteSize() == 300_000
    return model.SerializeToString()


@pytest.fixture
def config(tiny, server, data):
    server.data = data
    md5 = hashlib.md5(data).hexdigest()
    return dataclasses.replace(tiny, reference_url=server.url, reference_md5=md5)


def nothing(done, total):
    pass


def get(config, cache, url=None, progress=nothing):
    return fetch_reference(config, cache, url=url, progress=progress)


def left(cache):
    return sorted(path.name for path in (cache / "models").iterdir() if not path.name.startswith("."))


INSTALLED = ["tiny.onnx", "tiny.onnx.json"]


# Downloads that end well


def test_a_download_is_installed_and_verified(config, server, data, tmp_path):
    told = []
    path = get(config, tmp_path, progress=lambda *now: told.append(now))
    assert path == tmp_path / "models" / "tiny.onnx"
    assert path.read_bytes() == data
    assert left(tmp_path) == INSTALLED
    assert verified_reference(config, tmp_path) == (path, hashlib.sha256(data).hexdigest())
    assert told[0] == (0, len(data))
    assert told[-1] == (len(data), len(data))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_was_installed_is_not_read_again(config, tmp_path, monkeypatch):
    """Its digest was taken under another name, and renaming a file changes its times."""
    get(config, tmp_path)
    monkeypatch.setattr("sweep.models.reference.take_stamp", None)
    verified_reference(config, tmp_path)


def test_what_is_there_is_not_downloaded_again(config, server, data, tmp_path):
    get(config, tmp_path)
    told = []
    get(config, tmp_path, progress=lambda *now: told.append(now))
    assert len(server.seen) == 1
    assert told == [(len(data), len(data))]


def test_what_is_there_but_damaged_is_replaced(config, data, tmp_path):
    path = get(config, tmp_path)
    path.write_bytes(b"rotten")
    assert get(config, tmp_path).read_bytes() == data


def test_a_mirror_is_used_instead_and_checked_alike(config, server, data, tmp_path):
    config = dataclasses.replace(config, reference_url="https://example.invalid/tiny.onnx")
    assert get(config, tmp_path, url=server.url + "?token=1").read_bytes() == data


def with_login(url):
    return url.replace("://", "://me:se%20cret@")


def test_a_password_is_told_to_the_mirror_alone_and_written_nowhere(config, server, data, tmp_path):
    assert get(config, tmp_path, url=with_login(server.url)).read_bytes() == data
    assert server.logins == ["Basic " + base64.b64encode(b"me:se cret").decode()]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"cret" in path.read_bytes()]
    server.errors = [404]
    with pytest.raises(ConfigError, match=f"{server.url}: the server answers 404") as caught:
        get(config, tmp_path / "other", url=with_login(server.url))
    assert "cret" not in str(caught.value)


def test_a_password_does_not_follow_a_redirect(config, server, data, tmp_path):
    with Server() as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        elsewhere.data, server.location = data, elsewhere.url
        assert get(config, tmp_path, url=with_login(server.url)).read_bytes() == data
        elsewhere.shutdown()
    assert (len(server.logins), elsewhere.logins) == (1, [None])


def test_a_password_in_what_is_no_url_is_not_shown(config, tmp_path):
    with pytest.raises(ConfigError, match=r"--url=http://\*\*\*@host/x: is not a URL") as caught:
        get(config, tmp_path, url="http://me:se/cret@host/x")
    assert "cret" not in str(caught.value)


def test_a_local_file_is_a_mirror_too(config, data, tmp_path):
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "any name.onnx").write_bytes(data)
    url = (tmp_path / "stick" / "any name.onnx").as_uri()
    assert get(config, tmp_path, url=url).read_bytes() == data


def test_dropped_connections_are_taken_up_where_they_broke(config, server, data, tmp_path):
    server.cuts = [100_000, 50_000, 1]
    assert get(config, tmp_path).read_bytes() == data
    assert server.seen == [None, "bytes=100000-", "bytes=150000-", "bytes=150001-"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(config, server, data, tmp_path):
    server.cuts = [200_000] + [0] * 5
    with pytest.raises(ConfigError, match=r"the connection was lost .* 5 times in a row; try again later: .*goes on"):
        get(config, tmp_path)
    assert left(tmp_path) == ["tiny.onnx.part", "tiny.onnx.part.json"]
    server.seen.clear()
    assert get(config, tmp_path).read_bytes() == data
    assert server.seen == ["bytes=200000-"]
    assert left(tmp_path) == INSTALLED


@pytest.mark.parametrize("tag", ['"one"', 'W/"one"', None])
def test_a_server_without_ranges_starts_over(config, server, data, tmp_path, tag):
    server.cuts, server.ranges, server.tag = [100_000], False, tag
    assert get(config, tmp_path).read_bytes() == data
    assert server.seen == [None, "bytes=100000-"]


def test_a_server_that_does_not_say_the_length_is_believed(config, server, data, tmp_path):
    server.length = False
    told = []
    assert get(config, tmp_path, progress=lambda *now: told.append(now)).read_bytes() == data
    assert told[-1] == (len(data), None)


@pytest.mark.parametrize("honest", [True, False])
def test_a_file_that_changed_meanwhile_is_started_over(config, server, data, tmp_path, honest):
    """Two halves of two versions would be no version at all."""
    old = bytes(len(data))
    server.data, server.cuts = old, [100_000] + [0] * 5
    with pytest.raises(ConfigError):
        get(config, tmp_path)
    server.data = data
    if honest:  # another tag; else the digest alone gives it away
        server.tag = '"two"'
    assert get(config, tmp_path).read_bytes() == data


def test_a_file_that_became_shorter_is_started_over(config, server, data, tmp_path):
    server.data, server.tag, server.cuts = data + bytes(1000), None, [300_500] + [0] * 5
    with pytest.raises(ConfigError):
        get(config, tmp_path)
    server.data = data
    assert get(config, tmp_path).read_bytes() == data


def test_a_part_that_is_whole_needs_no_more_bytes(config, server, data, tmp_path):
    """Killed between the last byte and the rename."""
    server.cuts = [299_999] + [0] * 5
    with pytest.raises(ConfigError):
        get(config, tmp_path)
    (tmp_path / "models" / "tiny.onnx.part").write_bytes(data)
    server.seen.clear()
    assert get(config, tmp_path).read_bytes() == data
    assert server.seen == ["bytes=300000-"]


@pytest.mark.parametrize("notes", [None, "{", '{"url": "http://elsewhere/", "tag": "", "total": null}', "[]"])
def test_a_part_of_something_else_is_not_used(config, server, data, tmp_path, notes):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "tiny.onnx.part").write_bytes(b"something else")
    if notes is not None:
        (folder / "tiny.onnx.part.json").write_text(notes)
    assert get(config, tmp_path).read_bytes() == data
    assert server.seen == [None]


def test_a_busy_server_is_asked_again(config, server, data, tmp_path):
    server.errors = [503, 429, 500]
    assert get(config, tmp_path).read_bytes() == data


# Downloads that do not


def refused(config, cache, reason, url=None):
    with pytest.raises(ConfigError, match=reason) as caught:
        get(config, cache, url)
    assert "\n" not in str(caught.value)
    assert not (cache / "models" / "tiny.onnx").exists()


def test_the_wrong_file_is_removed_and_said_to_be(config, server, data, tmp_path):
    server.data = data[:-1] + b"?"
    refused(config, tmp_path, r"^fetch tiny: .*/tiny.onnx is not the right one: its MD5 is .*it was removed")
    assert left(tmp_path) == []
    assert len(server.seen) == 1


def test_not_found_names_the_url_and_the_ways_out(config, server, tmp_path):
    server.errors = [404]
    ways = r"use a mirror with --url MIRROR, or put the file at .*/models/tiny.onnx$"
    refused(config, tmp_path, rf"^fetch tiny: {server.url}: the server answers 404 Not Found; {ways}")
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_stays_busy_is_given_up(config, server, tmp_path, status):
    server.errors = [status] * 10
    refused(config, tmp_path, f"the server answers {status} .*5 times in a row; use a mirror")
    assert len(server.seen) == 5


def test_a_server_that_refuses_every_range_is_asked_for_the_whole(config, server, data, tmp_path):
    server.cuts, server.errors = [100_000], [0, 416]
    assert get(config, tmp_path).read_bytes() == data
    assert server.seen == [None, "bytes=100000-", None]


def test_a_server_that_refuses_ranges_nobody_asked_for_is_given_up(config, server, tmp_path):
    server.errors = [416] * 10
    refused(config, tmp_path, "the server answers 416 .*; use a mirror")
    assert len(server.seen) == 1


def test_redirects_in_a_circle_are_one_line(config, server, tmp_path):
    server.location = server.url
    refused(config, tmp_path, f"^fetch tiny: {server.url}: the server answers 302 .*infinite loop.*; use a mirror")


def test_a_redirect_into_this_machine_is_refused(config, server, tmp_path):
    server.location = "file:///etc/passwd"
    refused(config, tmp_path, "the server answers 302 .*not allowed; use a mirror")


def test_letters_that_a_url_has_to_encode_are_encoded(config, server, data, tmp_path):
    (tmp_path / "é").mkdir()
    (tmp_path / "é" / "ü.onnx").write_bytes(data)
    assert get(config, tmp_path, url=f"file://{tmp_path}/é/ü.onnx").read_bytes() == data
    assert get(config, tmp_path / "other", url=f"{server.url}/ü?é=%20").read_bytes() == data


@pytest.mark.parametrize("url", ["file:///tmp/%00", "http://127.0.0.1:1/\x7f"])
def test_a_url_with_control_characters_is_one_line(config, tmp_path, url):
    refused(config, tmp_path, "^fetch tiny: ", url)


def test_nobody_listening_is_said_at_once(config, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    refused(config, tmp_path, "Connection refused; use a mirror", f"http://127.0.0.1:{port}/tiny.onnx")


def test_no_such_host_is_said_at_once(config, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    url = "http://example.invalid/tiny.onnx"
    refused(config, tmp_path, f"^fetch tiny: {url}: .*; use a mirror", url)


def test_a_silent_server_runs_into_the_time_limit(config, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        refused(config, tmp_path, "timed out", f"http://127.0.0.1:{silent.getsockname()[1]}/tiny.onnx")


@pytest.mark.parametrize(
    "url",
    ["ftp://host/file", "/home/me/file", "data:,x", "http:/typo", "http://a b/c", "http://host:port/x", "http://[/x"],
)
def test_what_is_no_url_is_refused(config, tmp_path, url):
    refused(config, tmp_path, r"^--url=.*is not a URL to download from; begin with https://", url)


def test_a_missing_local_file_is_said(config, tmp_path):
    refused(config, tmp_path, "No such file or directory", (tmp_path / "none.onnx").as_uri())


def test_a_model_without_reference_has_nothing_to_fetch(conf, tmp_path):
    with pytest.raises(ConfigError, match=r"^model=digits: has no reference file"):
        get(conf("digits"), tmp_path)


def test_a_full_disk_is_said_and_what_came_is_kept(config, data, tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self._file = file

        def write(self, chunk):
            if self._file.tell() > 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            self._file.write(chunk)
            self._file.flush()

    copy = fetch._Download._copy
    monkeypatch.setattr(
        fetch._Download, "_copy", lambda self, response, file, *rest: copy(self, response, Full(file), *rest)
    )
    refused(config, tmp_path, "the disk is full; free some space")
    monkeypatch.undo()
    assert (tmp_path / "models" / "tiny.onnx.part").stat().st_size > 0
    assert get(config, tmp_path).read_bytes() == data


def test_a_cache_that_cannot_be_written_is_said(config, tmp_path):
    (tmp_path / "models").touch()
    with pytest.raises(ConfigError, match=r"^fetch tiny: .*cannot be written: .*set SWEEP_CACHE"):
        get(config, tmp_path)


def test_a_cache_folder_that_cannot_be_looked_into_is_said(config, tmp_path):
    with pytest.raises(ConfigError, match=r"^fetch tiny: .*cannot be written: File name too long; set SWEEP_CACHE"):
        get(config, tmp_path / ("x" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_folder_without_the_right_to_write_is_said(config, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match=r"^fetch tiny: .*cannot be written: Permission denied; set SWEEP_CACHE"):
        get(config, tmp_path / "locked" / "cache")


# Files whose digest is not published


@pytest.fixture
def unpublished(config):
    return dataclasses.replace(config, reference_md5=None)


def test_the_first_download_is_trusted_and_its_digest_kept(unpublished, server, data, tmp_path):
    path = get(unpublished, tmp_path)
    path.unlink()
    server.data = data + b"\x32\x00"  # still a model, but another one
    complaint = r"its SHA-256 is .* when it was first met it was .*delete .*tiny.onnx.json to accept a new version"
    refused(unpublished, tmp_path, complaint)
    path.with_name("tiny.onnx.json").unlink()
    assert get(unpublished, tmp_path).read_bytes() == server.data


def test_a_digest_from_before_more_was_kept_of_a_file_still_counts(unpublished, data, tmp_path):
    path = get(unpublished, tmp_path)
    stamp = path.with_name("tiny.onnx.json")
    kept = json.loads(stamp.read_text())
    for key in ("ctime_ns", "inode", "device"):
        del kept[key]
    stamp.write_text(json.dumps(kept))
    assert verified_reference(unpublished, tmp_path)[0] == path
    stamp.write_text(json.dumps(kept))
    path.write_bytes(data + b"\x32\x00")
    with pytest.raises(ConfigError, match="when it was first met it was"):
        verified_reference(unpublished, tmp_path)


def test_a_login_page_is_not_trusted(unpublished, server, tmp_path):
    server.data = b"<!DOCTYPE html><html><body>Accept the terms</body></html>"
    refused(unpublished, tmp_path, "it is not an ONNX file.*looks like a web page")
    assert left(tmp_path) == []


# Two at once


def _fetch_in_process(config, cache, answers):
    seen = []
    path = fetch_reference(config, cache, url=None, progress=lambda *now: seen.append(now))
    answers.put(path.read_bytes())


def test_processes_that_fetch_at_once_take_turns(config, server, data, tmp_path):
    server.pause_s = 0.05
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_fetch_in_process, args=(config, tmp_path, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60) for _ in processes] == [data, data]
    for process in processes:
        process.join()
    assert len(server.seen) == 1
    assert left(tmp_path) == INSTALLED
