"""The stores: implementations of one port (`sagalog.store`) in memory, in SQLite, and in PostgreSQL."""

import re
from pathlib import PurePath
from typing import Final

from sagalog.address import LONGEST_ADDRESS, as_meant, shown, taken_from_another
from sagalog.errors import InvalidSettings
from sagalog.logs import make_records_harmless
from sagalog.store import Store, StoreOptions

make_records_harmless()

SQLITE: Final = "sqlite:///"
EXPECTED: Final = "expected a database such as sqlite:///shop.db or postgresql://user@host/shop"

_SETTINGS = re.compile(r"\s*\w+\s*=")
# A copied line of an env file (`NAME=value`), or a value that still has its quotation marks.
_WRAPPED = re.compile(r"(?:export\s+)?\w+=[\"']?(?:sqlite|postgres|postgresql|memory)(?:\+\w+)?:", re.IGNORECASE)
_QUOTES: Final = ("'", '"', "`")
_ONE_SLASH = re.compile(r"postgres(?:ql)?:/?(?!/)", re.IGNORECASE)
_IN_MEMORY: Final = "for a store in memory, which ends with the process, say memory://"


def store_for(address: str, options: StoreOptions | None = None) -> Store:
    """Return the store for a database address, not opened yet.

    Addresses are `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://user@host/database` and `memory://`.
    SQLAlchemy's form with a driver, such as `postgresql+psycopg://`, and white space around are accepted. A driver is
    imported only for its own store. Raises `InvalidSettings` for any other address.
    """
    given: object = address
    if isinstance(given, PurePath):
        raise InvalidSettings(f"{EXPECTED}, found the path {shown(str(given))}; write {SQLITE} before it")
    if not isinstance(given, str):
        raise InvalidSettings(f"{EXPECTED}, found {type(given).__name__}")
    if len(address) > LONGEST_ADDRESS or "\0" in address:
        raise InvalidSettings(f"{EXPECTED}, found {shown(address)}")
    options = options or StoreOptions()
    plain = as_meant(address)
    if plain.startswith("sqlite:"):
        from sagalog.stores.sqlite.store import SQLiteStore

        return SQLiteStore(sqlite_path(plain), options)
    if plain.startswith(("postgresql://", "postgres://")):
        from sagalog.stores.postgres.store import PostgresStore

        return PostgresStore(plain, options)
    if plain == "memory://":
        from sagalog.stores.memory.store import MemoryStore

        return MemoryStore()
    scheme, plus, driver = plain.partition(":")[0].partition("+")
    if plus and scheme in ("postgresql", "sqlite") and re.fullmatch(r"\w{1,30}", driver):
        raise InvalidSettings(
            f"expected {scheme}://..., found the driver {driver}; leave it out, sagalog brings its own"
        )
    raise not_an_address(plain)


def not_an_address(text: str) -> InvalidSettings:
    """Return the error for a text that is no database address, with advice."""
    wrapped = _WRAPPED.match(text)
    if text[:1] in _QUOTES and text[-1:] == text[:1]:
        return InvalidSettings(f"{EXPECTED}, found one in quotation marks; leave them out")
    if wrapped is not None:
        return InvalidSettings(f"{EXPECTED}, found a name and an = before it; write only what stands behind the =")
    if _SETTINGS.match(text):
        return InvalidSettings(f"{EXPECTED}, found settings of libpq ({shown(text)}); write them as such an address")
    if _ONE_SLASH.match(text):
        return InvalidSettings(f"{EXPECTED}, found one without two slashes behind the colon")
    return InvalidSettings(f"{EXPECTED}, found {shown(text)}")


def sqlite_path(address: str) -> str:
    """Return the path of a SQLite address; raises `InvalidSettings` for a path with a special meaning to SQLite."""
    expected = "expected a SQLite file such as sqlite:///shop.db, or sqlite:////var/lib/shop.db for an absolute path"
    path = address.removeprefix(SQLITE)
    if not address.startswith(SQLITE):
        # After two slashes comes a host, and SQLite has no hosts.
        hint = _IN_MEMORY if address in ("sqlite:", "sqlite://") else "a file is written with three slashes before it"
        raise InvalidSettings(f"{EXPECTED}, found {shown(address)}; {hint}")
    if path in ("", ":memory:"):
        raise InvalidSettings(f"{expected}, found {path or 'no path'}; {_IN_MEMORY}")
    if path.startswith("file:"):
        raise InvalidSettings(
            f"{expected}, found {shown(address)}; a SQLite URI is not taken: write the path without file:, "
            "or ./ before it if the file's name begins so"
        )
    if "?" in path:
        raise InvalidSettings(
            f"{expected}, found {shown(address)} with options behind a ?; none is taken, so leave them out"
        )
    if taken_from_another(path):
        raise InvalidSettings(
            f"{expected}, found one with a user and a password, or an option, in its path, which SQLite has none of; "
            "name the file without : before an @, and without = behind a ; or &"
        )
    if path.endswith("/"):
        raise InvalidSettings(f"{expected}, found {shown(address)}, which is a folder; name a file in it")
    return path
