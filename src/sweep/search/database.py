"""The database in which Optuna keeps studies, and what is said when it cannot be opened. No password is ever shown."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from sweep.errors import ConfigError, MissingDependencyError, Problem
from sweep.search.quiet import load_optuna

FIELD = "search.storage"
_EXAMPLES = "give sqlite:///FILE, postgresql://USER@HOST/NAME or mysql://USER@HOST/NAME, or null for a file of its own"
_PATIENCE_S = 10
_DRIVERS_WITH_TIMEOUT = ("psycopg2", "psycopg", "pymysql", "mysqldb")
_PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""What to install for a module, where the names differ."""
_TRIES = 5


def without_password(url: str) -> str:
    """Return a URL as it may be shown, also one that is no URL."""
    hidden = re.sub(r"(?i)((?:password|passwd|pwd)=)[^&\s]*", r"\1***", url)
    return re.sub(r"://([^:@/\s]*):.*@", r"://\1:***@", hidden) if "://" in url else re.sub(r".*@", "***@", hidden)


def open_database(url: str) -> Any:
    """Return Optuna's storage on a database, whose tables are made when there are none.

    Raises:
        ConfigError: It is no URL, nothing can be kept there, or its tables are of another Optuna; they are left as is.
        MissingDependencyError: The driver of the database is not installed.
    """
    parsed = _parse(url)
    for left in reversed(range(_TRIES)):
        try:
            return _connect(url, parsed)
        except ImportError as error:
            raise _no_driver(url, error) from error
        except RuntimeError as error:
            reason = f"has tables of an older Optuna than {load_optuna().__version__}"
            fix = "choose another database, or bring it up to date with `optuna storage upgrade`"
            if "pip install" in str(error):  # Optuna does not know them, so nothing of its would bring them up to date
                reason = f"has tables of a newer Optuna than {load_optuna().__version__}"
                fix = "pip install -U optuna, or choose another database"
            raise _wrong(url, reason, fix) from error
        except Exception as error:
            if left and re.search(r"already exists|UNIQUE|[Dd]uplicate", str(error)):  # two made the tables at once
                time.sleep(0.1)
                continue
            if not is_storage_error(error):
                raise
            raise unusable(url, error) from error
    raise AssertionError


def is_storage_error(error: Exception) -> bool:
    """Return whether it comes from the database rather than from a bug."""
    import sqlalchemy

    optuna = load_optuna()
    return isinstance(error, (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError))


def unusable(url: str, error: BaseException) -> ConfigError:
    """Return the error to raise when a database does not do its work."""
    while not hasattr(error, "orig") and error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    if (secret := re.search(r"://[^:@/\s]*:(.*)@", url)) and secret[1]:
        said = said.replace(secret[1], "***")
    return _wrong(url, f"cannot be used: {said[:200]}", "see that it is there and can be written, or choose another")


def _parse(url: str) -> Any:
    """Return the parts of a URL that names a database of a known kind."""
    import sqlalchemy

    try:
        url.format(SCHEMA_VERSION=0)  # as Optuna does: it takes braces for a template
        parsed = sqlalchemy.engine.make_url(url)
        parsed.get_dialect()
    except sqlalchemy.exc.NoSuchModuleError:
        raise _wrong(url, "names a kind of database that is not known here", _EXAMPLES) from None
    except (sqlalchemy.exc.ArgumentError, KeyError, IndexError, ValueError):
        raise _wrong(url, "is not the URL of a database", _EXAMPLES) from None
    if parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        folder = Path(str(parsed.database).removeprefix("file:")).parent
        if not folder.is_dir():
            raise _wrong(url, f"lies in a folder that does not exist: {folder}", "make it, or choose another one")
    return parsed


def _connect(url: str, parsed: Any) -> Any:
    import sqlalchemy

    optuna = load_optuna()
    options: dict[str, Any] = {}
    if parsed.get_backend_name() == "sqlite":
        options["timeout"] = 60  # several processes may write to one file
    elif parsed.get_driver_name() in _DRIVERS_WITH_TIMEOUT and "connect_timeout" not in parsed.query:
        options["connect_timeout"] = _PATIENCE_S
    engine = sqlalchemy.create_engine(parsed, connect_args=options)
    try:
        # Optuna adds missing tables before it looks whether the others fit; so none are added where some are.
        ready = {"version_info", "alembic_version"} <= set(sqlalchemy.inspect(engine).get_table_names())
    finally:
        engine.dispose()
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": options}, skip_table_creation=ready)


def _no_driver(url: str, error: ImportError) -> MissingDependencyError:
    cause = error if error.name else error.__cause__
    module = getattr(cause, "name", None) or "its driver"
    return MissingDependencyError(
        Problem(FIELD, without_password(url), f"needs {module}", f"pip install {_PACKAGES.get(module, module)}")
    )


def _wrong(url: str, reason: str, fix: str) -> ConfigError:
    return ConfigError(Problem(FIELD, without_password(url), reason, fix))
