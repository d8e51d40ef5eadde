"""Downloading a reference file: resumed when cut off, checked before it is installed."""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit

import sweep
from sweep import paths
from sweep.errors import ConfigError, Problem
from sweep.models.base import ModelConfig, file_marks
from sweep.models.cache import Stamp, read_stamp, stamp_path, take_stamp, write_stamp
from sweep.models.onnx_file import NotOnnxError, parse_onnx
from sweep.models.reference import reference_path, verified_reference, wrong_digest

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and, where the server says it, how many there will be."""

TIMEOUT_S = 30.0
"""How long a server may say nothing."""
RETRIES = 4
"""How often in a row a download may be taken up again without one more byte arriving."""
BACKOFF_S = 1.0
"""Wait before the first retry; doubled for each one after."""

_CHUNK_BYTES = 1 << 18
_SCHEMES = ("https", "http", "file")
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"
"""What stays as it is in a URL; the percent sign too, or what is encoded already would be so twice."""
_WORTH_A_RETRY = (408, 425, 429, 500, 502, 503, 504)


def fetch_reference(config: ModelConfig, cache: Path, *, url: str | None, progress: Progress) -> Path:
    """Download a model's reference file into the cache, and return where it is.

    A file that is there already and has the right digest is left alone. A download that was cut off goes on where it
    stopped, also in a later call. Processes that fetch the same file take turns. Proxies are taken from the
    environment (`https_proxy`, `no_proxy`).

    Args:
        config: Which model; has the URL and the published MD5, if there is one.
        cache: Root of the cache folder.
        url: A mirror to use instead (https, http or file); the same file is expected there. A name and password in it
            (`https://NAME:PASSWORD@host/`) are told to that host alone, and written nowhere.
        progress: Told about every chunk.

    Raises:
        ConfigError: The model has no reference file, the download failed for good, or is not the file it should be.
    """
    path = reference_path(config, cache)
    source, login = _apart((config.reference_url or "") if url is None else url)
    if not _is_url(source):
        fix = "begin with https://, http:// or file://"
        shown = re.sub(r"://.*@", "://***@", source, flags=re.DOTALL)  # whatever was meant for a password
        raise ConfigError(Problem("--url", shown, "is not a URL to download from", fix))
    try:
        if path.exists() and _is_good(config, cache):  # also in a cache that cannot be written
            return _already_there(path, progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _turn(path, progress):
            if path.exists() and _is_good(config, cache):  # another process was faster
                return _already_there(path, progress)
            _download_and_install(config, path, _Download(config.name, path, source, login, progress))
    except OSError as error:
        raise _cannot_write(config, path, error) from error
    return path


def _is_url(text: str) -> bool:
    try:
        _ = urlsplit(text).port  # raises when host or port cannot be one
    except ValueError:
        return False
    return re.fullmatch(rf"({'|'.join(_SCHEMES)})://\S+", text) is not None


def _already_there(path: Path, progress: Progress) -> Path:
    size = path.stat().st_size
    progress(size, size)
    return path


def _is_good(config: ModelConfig, cache: Path) -> bool:
    try:
        verified_reference(config, cache)
    except ConfigError:
        return False
    return True


def _apart(url: str) -> tuple[str, str]:
    """Return a URL without name and password, and what tells them to a server; nothing where there are none."""
    found = re.fullmatch(r"(https?://)([^/?#]*)@(.*)", url, re.DOTALL)
    if found is None:
        return url, ""
    login = base64.b64encode(unquote(found[2]).encode()).decode()
    return found[1] + found[3], f"Basic {login}"


def _download_and_install(config: ModelConfig, path: Path, download: _Download) -> None:
    source = download.url
    resumed = download.part.exists()
    download.complete()
    complaint, found = _check(download.part, config, read_stamp(path), source)
    if complaint and resumed:  # what was there before may have been of another file
        download.discard()
        download.complete()
        complaint, found = _check(download.part, config, read_stamp(path), source)
    if complaint:
        download.discard()
        fix = "it was removed; try again, or give another source with --url MIRROR"
        if config.reference_md5 is None and stamp_path(path).exists():
            fix += f", or delete {stamp_path(path)} to accept a new version"
        raise ConfigError(
            Problem(_field(config.name), None, f"the file from {source} is not the right one: {complaint}", fix)
        )
    download.part.replace(path)
    # A new name is a change too; without the new time the next sweep would read the file once more.
    write_stamp(path, replace(found, **file_marks(path.stat())))
    download.discard()


def _check(part: Path, config: ModelConfig, known: Stamp | None, source: str) -> tuple[str, Stamp]:
    """Return what is wrong with a complete download, or nothing; and its stamp."""
    found = take_stamp(part, md5=True, source=source)
    complaint = wrong_digest(found, config, known)
    if not complaint and config.reference_md5 is None:
        # Nothing to compare with: at least it must not be a login page.
        try:
            parse_onnx(part.read_bytes())
        except NotOnnxError as error:
            complaint = f"it {error} ({error.hint})"
    return complaint, found


@contextlib.contextmanager
def _turn(path: Path, progress: Progress) -> Iterator[None]:
    """Wait until no other process fetches this file; says meanwhile how far the other one is."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                with contextlib.suppress(FileNotFoundError):
                    progress(_part_path(path).stat().st_size, None)
                time.sleep(0.2)
        yield  # closing the file gives the lock back, and so does dying


def _part_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


@dataclass(frozen=True)
class _Origin:
    """What a partial download is a part of.

    Attributes:
        url: Where it came from.
        tag: The server's ETag or, failing that, its Last-Modified date; empty when it gave neither.
        total: Size of the whole file in bytes, if the server said it.
    """

    url: str
    tag: str
    total: int | None


class _CutOffError(Exception):
    """The connection was lost, or the server is busy: worth another try."""


class _Download:
    """One file on its way: `FILE.part`, and `FILE.part.json` that says what it is a part of."""

    def __init__(self, model: str, path: Path, url: str, login: str, progress: Progress) -> None:
        self._field = _field(model)
        self.part = _part_path(path)
        self._notes = self.part.with_name(f"{self.part.name}.json")
        self._path = path
        self.url = url
        self._login = login
        self._progress = progress

    def discard(self) -> None:
        """Forget what is there of it."""
        self.part.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def complete(self) -> None:
        """Download what is missing.

        Raises:
            ConfigError: It cannot be had.
            OSError: It cannot be written.
        """
        failures, most = 0, self._size()
        while True:
            try:
                self._attempt()
            except _CutOffError as error:
                failures = 0 if self._size() > most else failures + 1
                most = max(most, self._size())
                if failures > RETRIES:
                    kept = self._size()
                    fix = self._way_out("try again later: the download goes on where it stopped" if kept else "")
                    reason = f"{self.url}: {error}, {failures} times in a row"
                    raise ConfigError(Problem(self._field, None, reason, fix)) from error
                time.sleep(BACKOFF_S * 2 ** max(failures - 1, 0))
            else:
                return

    def _attempt(self) -> None:
        """Ask once for what is missing and write what comes."""
        origin = self._origin()
        size = self._size()
        encoded = quote(self.url, safe=_URL_CHARACTERS)
        request = urllib.request.Request(encoded, headers=self._headers(origin, size))  # noqa: S310 - scheme checked
        if self._login:
            request.add_unredirected_header("Authorization", self._login)
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310 - the same
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error, origin, size)
            return
        except (OSError, ValueError, http.client.HTTPException) as error:  # a ValueError is a null byte in a path
            raise self._unreachable(error, size) from error
        with response:
            self._receive(response, origin, size)

    def _headers(self, origin: _Origin | None, size: int) -> dict[str, str]:
        headers = {"User-Agent": f"sweep/{sweep.__version__}", "Accept-Encoding": "identity"}
        if origin is not None and size:
            headers["Range"] = f"bytes={size}-"
            if origin.tag and not origin.tag.startswith("W/"):  # a weak tag is not allowed there
                headers["If-Range"] = origin.tag
        return headers

    def _refused(self, error: urllib.error.HTTPError, origin: _Origin | None, size: int) -> None:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and size:
            whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
            same = origin is not None and _tag(error.headers) in ("", origin.tag)
            if whole and int(whole[1]) == size and same:
                self._progress(size, size)
                return  # there was nothing left to send
            self.discard()
            raise _CutOffError("the file changed on the server")
        said = " ".join(str(error.reason).split())  # of redirects in a circle it is three lines
        if error.code in _WORTH_A_RETRY:
            raise _CutOffError(f"the server answers {error.code} {said}")
        reason = f"{self.url}: the server answers {error.code} {said}"
        raise ConfigError(Problem(self._field, None, reason, self._way_out()))

    def _unreachable(self, error: Exception, size: int) -> Exception:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        if (size or isinstance(reason, ConnectionResetError)) and not isinstance(reason, http.client.InvalidURL):
            return _CutOffError(said)
        # No address, nobody listening, no certificate, before a single byte came: waiting a second will not mend that.
        return ConfigError(Problem(self._field, None, f"{self.url}: {said}", self._way_out()))

    def _way_out(self, first: str = "") -> str:
        ways = f"use a mirror with --url MIRROR, or put the file at {self._path}"
        return f"{first}; or {ways}" if first else ways

    def _receive(self, response: Any, origin: _Origin | None, size: int) -> None:
        status = getattr(response, "status", None)
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        if status == http.HTTPStatus.PARTIAL_CONTENT:
            served = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            total = int(served[2]) if served and served[2] != "*" else None
            now = _Origin(self.url, _tag(response.headers), total)
            if not served or int(served[1]) != size or now != origin:
                self.discard()
                raise _CutOffError("the file changed on the server")
            mode = "ab"
        else:  # the whole file, asked for or not
            mode, size = "wb", 0
            self._notes.unlink(missing_ok=True)
        with self.part.open(mode) as file:
            if mode == "wb":
                paths.write_json(self._notes, asdict(_Origin(self.url, _tag(response.headers), total)))
            self._copy(response, file, size, total)

    def _copy(self, response: Any, file: IO[bytes], size: int, total: int | None) -> None:
        self._progress(size, total)
        while True:
            try:
                chunk = response.read(_CHUNK_BYTES)
            except http.client.IncompleteRead as error:
                file.write(error.partial)
                raise _CutOffError("the connection was lost") from error
            except (OSError, http.client.HTTPException) as error:
                raise _CutOffError(str(error) or "the connection was lost") from error
            if not chunk:
                break
            file.write(chunk)
            size += len(chunk)
            self._progress(size, total)
        if total is not None and size < total:
            raise _CutOffError(f"the connection was lost at {size} of {total} bytes")
        file.flush()
        os.fsync(file.fileno())

    def _size(self) -> int:
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            return 0

    def _origin(self) -> _Origin | None:
        """Return what the partial file is a part of; it is discarded when that is unknown or something else."""
        try:
            origin = _Origin(**json.loads(self._notes.read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            origin = None
        if origin is None or origin.url != self.url or (origin.total is not None and self._size() > origin.total):
            self.discard()
            return None
        return origin


def _tag(headers: Any) -> str:
    return str(headers.get("ETag") or headers.get("Last-Modified") or "")


def _field(model: str) -> str:
    return f"fetch {model}"


def _cannot_write(config: ModelConfig, path: Path, error: OSError) -> ConfigError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, fix = "the disk is full", "free some space and run it again, or set SWEEP_CACHE to another disk"
    else:
        reason, fix = error.strerror or str(error), "set SWEEP_CACHE to a folder that can be written"
    return ConfigError(Problem(_field(config.name), None, f"{path} cannot be written: {reason}", fix))
