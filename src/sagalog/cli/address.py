"""Which database the command line means, opened to be read; and how a command on it is written down again."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sagalog.cli.options import Invocation
from sagalog.errors import InvalidSettings, StoreUnavailable
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.stores import store_for

SQLITE = "sqlite:///"
SUFFIXES = (".db", ".sqlite", ".sqlite3")


def complete(database: str) -> str:
    """Return an address; what is a SQLite file for everyone to see may be given as a plain path."""
    if "://" in database:
        return database
    if Path(database).suffix in SUFFIXES or Path(database).is_file():
        return SQLITE + database
    raise InvalidSettings(
        f"expected a database such as sqlite:///shop.db or postgresql://user@host/shop, found {database!r}"
    )


def require_file(address: str) -> None:
    """Raise `StoreUnavailable` if the address names a SQLite file that is not there: a question must not create one."""
    path = Path(address.removeprefix(SQLITE))
    if address.startswith(SQLITE) and not path.exists():
        raise StoreUnavailable(
            f"there is no database {path}; check --db and the folder you are in, or create it with `sagalog db upgrade`"
        )


@contextmanager
def opened(address: str) -> Iterator[Store]:
    """Open a store for reading, and close it."""
    require_file(address)
    store = store_for(address, Settings.from_environment().store_options())
    store.open()
    try:
        yield store
    finally:
        store.close()


def command_line(invocation: Invocation, command: Sequence[str]) -> str:
    """Return `sagalog ...` with the options that differ from the environment, quoted for a shell, without secrets."""
    words = ["sagalog"]
    if invocation.database is not None and invocation.database != os.environ.get("SAGALOG_DB"):
        secret = "://" in invocation.database and urlsplit(invocation.database).password is not None
        words += ["--db", '"$SAGALOG_DB"' if secret else shlex.quote(invocation.database)]
    if invocation.app_dir != Path():
        words += ["--app-dir", shlex.quote(str(invocation.app_dir))]
    if invocation.app is not None and invocation.app != os.environ.get("SAGALOG_APP"):
        words += ["--app", shlex.quote(invocation.app)]
    return " ".join([*words, *map(shlex.quote, command)])
