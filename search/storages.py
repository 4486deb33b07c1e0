"""Where a study is kept: a journal in its folder, or any database that Optuna knows."""

from __future__ import annotations

import errno
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from envs import UserError

#: The file of a study whose storage is a journal.
JOURNAL_FILE = "journal.log"

#: How often a database is told that a trial is still being trained, and after how long without it the trial is lost, in
#: seconds.
HEARTBEAT, STALE = 30, 180

#: How often a database is asked once more where another process was making the same tables.
_ATTEMPTS = 5


def hidden(url: str) -> str:
    """Returns a database's URL without its password."""
    if not url:
        return ""
    try:
        return make_url(url).difference_update_query(["password"]).render_as_string(hide_password=True)
    except SQLAlchemyError:
        # What is no URL may hold a password all the same.
        return url.partition(":")[0] + "://…"


def study_lock(url: str, folder: Path) -> FileLock:
    """Returns the lock that creates a study, hands out its trials, and mends it.

    It is beside what is shared: the database's own file, or else the study's folder.

    Raises:
        UserError: there is no such folder.
    """
    database = make_url(url).database if url.startswith("sqlite") else None
    if database and not Path(database).parent.is_dir():
        raise UserError(f"The database {hidden(url)} cannot be made: make its folder first, or give another --storage.")
    return FileLock(f"{database}.lock" if database else folder / "study.lock")


def is_file(url: str) -> bool:
    """Returns whether a storage is a file, so that `study_lock` keeps all who use it apart."""
    return not url or url.startswith("sqlite")


def open_storage(url: str, folder: Path) -> BaseStorage:
    """Opens the storage of a study; whoever calls it holds the study's lock.

    Args:
        url: an SQLAlchemy URL as Optuna takes it; "" means a journal in the folder.
        folder: the study's folder.

    Raises:
        UserError: it cannot be reached or read.
    """
    if not url:
        path = folder / JOURNAL_FILE
        try:
            _cut_torn_line(path)
            return JournalStorage(JournalFileBackend(str(path)))
        except OSError as error:
            raise _disk(path, error) from error
        except Exception as error:
            raise _damaged(path, error) from error
    shown = hidden(url)
    timeout = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    for attempt in range(_ATTEMPTS):
        try:
            with warnings.catch_warnings():
                # Heartbeats are "experimental".
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return RDBStorage(url, engine_kwargs=timeout, heartbeat_interval=HEARTBEAT, grace_period=STALE)
        except ImportError as error:
            raise UserError(
                f"The database {shown} needs a driver that is not installed ({error.__cause__ or error}); "
                "pip install it, such as psycopg[binary] for PostgreSQL."
            ) from error
        except (SQLAlchemyError, OptunaError, RuntimeError, ValueError) as error:
            if attempt == _ATTEMPTS - 1 or not isinstance(error, SQLAlchemyError) or "UNIQUE" not in str(error).upper():
                raise _unreachable(url, error) from error
            time.sleep(0.2 * 2**attempt)
    raise AssertionError


def forget(url: str, folder: Path, name: str) -> None:
    """Removes a study from its storage, if it is there.

    Raises:
        UserError: the storage cannot be used.
    """
    if not url:
        (folder / JOURNAL_FILE).unlink(missing_ok=True)
        return
    with told_plainly(url, folder), study_lock(url, folder):
        storage = open_storage(url, folder)
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)


def _cut_torn_line(journal: Path) -> None:
    """Cuts off a last line that a full disk or a kill left unfinished: what it said was never done.

    Optuna would write the next line behind it, and could read neither.
    """
    if not journal.exists():
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        with journal.open("rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
    finally:
        lock.release()


@contextmanager
def told_plainly(url: str, folder: Path) -> Iterator[None]:
    """Raises what a storage raises as UserError: a full disk, a damaged journal, a database that is gone."""
    try:
        yield
    except UserError:
        raise
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _unreachable(url, error) from error
    except OSError as error:
        raise _disk(folder / JOURNAL_FILE if not url else folder, error) from error
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError) or "Invalid log format" in str(error):
            raise _damaged(folder / JOURNAL_FILE, error) from error
        raise


def _disk(path: Path, error: OSError) -> UserError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "free some space, and --resume goes on" if full else "see that it can be written, and --resume goes on"
    return UserError(f"The study cannot be kept at {path}: {(error.strerror or str(error)).lower()}; {advice}.")


def _damaged(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return UserError(f"{path} is damaged ({reason}); restore it from a copy, or begin another study with --name.")


def _unreachable(url: str, error: Exception) -> UserError:
    reason = str(getattr(error, "orig", None) or error.__cause__ or error) or type(error).__name__
    reason = " ".join(reason.split())[:200]
    password = None
    try:
        password = make_url(url).password
    except SQLAlchemyError:
        reason = "it is no URL of a database, such as postgresql://USER:PASSWORD@HOST/NAME or sqlite:///FILE"
    if password:
        reason = reason.replace(str(password), "***")
    return UserError(
        f"The database {hidden(url)} cannot be used: {reason.rstrip('.')}; check --storage, and --resume goes on."
    )
