"""Reference files: where they lie in the cache and how their digest is checked. No network here."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sweep.errors import ConfigError, Problem
from sweep.models.base import ModelConfig
from sweep.models.cache import Stamp, read_stamp, stamp_path, take_stamp, unwritable, write_stamp

_NO_FETCH = "fetch is for models with published weights, such as resnet"


def reference_path(config: ModelConfig, cache: Path) -> Path:
    """Return where the reference file belongs: `models/` in the cache, under the file name of its URL.

    Raises:
        ConfigError: The model has no reference file.
    """
    if config.reference_url is None:
        raise ConfigError(Problem("model", config.name, "has no reference file to download", _NO_FETCH))
    name = posixpath.basename(unquote(urlsplit(config.reference_url).path))
    if not name or name in (".", ".."):
        raise ConfigError(Problem("model.reference_url", config.reference_url, "does not end in a file name"))
    return cache / "models" / name


def fetch_command(config: ModelConfig) -> str:
    """Return what to type to download the reference file."""
    return f"python -m sweep fetch {config.name}"


def verified_reference(config: ModelConfig, cache: Path) -> tuple[Path, str]:
    """Return the reference file and its SHA-256 (hex), after its digest was checked.

    It is read in full the first time, and again when it may have changed. A file whose digest
    is not published is trusted when it is first met, and must not change after.

    Raises:
        ConfigError: It is not there, cannot be read, or is not the file it should be.
    """
    path = reference_path(config, cache)
    known = read_stamp(path)
    published = (config.reference_md5 or "").lower()
    if known is not None and known.fits(path) and published in ("", known.md5):
        return path, known.sha256
    try:
        now = take_stamp(path, md5=True, source=known.source if known else "")
    except OSError as error:
        reason = "no reference file in the cache" if not path.exists() else f"{path} cannot be read: {error.strerror}"
        raise ConfigError(Problem("model.weights", "reference", reason, f"run `{fetch_command(config)}`")) from error
    if complaint := wrong_digest(now, config, known):
        fix = f"run `{fetch_command(config)}` to replace it"
        if config.reference_md5 is None:
            fix += f", or delete {stamp_path(path)} to accept it"
        raise ConfigError(Problem("model.weights", "reference", f"{path} is damaged: {complaint}", fix))
    try:
        write_stamp(path, now)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return path, now.sha256


def wrong_digest(found: Stamp, config: ModelConfig, known: Stamp | None) -> str:
    """Return what is wrong with the digest of a reference file, or nothing.

    Args:
        found: What the file is now; with its MD5.
        config: Has the published MD5, if one is known.
        known: What the file was when it was first met; counts only where no MD5 is published.
    """
    if config.reference_md5 is not None:
        if found.md5 != config.reference_md5.lower():
            return f"its MD5 is {found.md5}, the published one is {config.reference_md5.lower()}"
        return ""
    if known is not None and known.sha256 != found.sha256:
        return f"its SHA-256 is {found.sha256}, when it was first met it was {known.sha256}"
    return ""
