"""What the kit is given instead of a driver's connection: unwrapped if it holds one, or refused with what to give.

Nothing is imported to find out: a type says by its name where it comes from.
"""

import inspect
from contextlib import AbstractContextManager
from typing import Any, Protocol

_TAKEN = "a connection of sqlite3 or psycopg, or a Connection or Session of SQLAlchemy on one of them"
_PLAIN = "give the driver's own connection"
_AWAITED = "use a connection that blocks, or the methods with _async and a psycopg.AsyncConnection of its own"

# By the beginning of the full name of a type, the first that fits: what to give instead.
_INSTEAD = (
    ("sqlite3.Cursor", "give the connection that it is of"),
    ("psycopg_pool.", "give a connection that it hands out"),
    ("psycopg2.", "psycopg (version 3) is needed"),
    ("psycopg.AsyncConnection", "use the methods with _async"),
    ("psycopg.", "give the connection that it is of"),
    ("sqlalchemy.engine.base.Engine", "give a connection of it, as in `with engine.begin() as connection:`"),
    ("sqlalchemy.orm.session.sessionmaker", "give a session that it makes"),
    ("sqlalchemy.ext.asyncio", _AWAITED),
    ("sqlalchemy.", "use the drivers sqlite3 or psycopg, as in create_engine('postgresql+psycopg://...')"),
    ("asyncpg.", _AWAITED),
    ("aiosqlite.", _AWAITED),
    ("django.", "give its `connection.connection`, after `connection.ensure_connection()`"),
)


# Some of these look like a connection of sqlite3 or psycopg until something is done with them.
_OTHER_DRIVERS = ("aiosqlite.", "asyncpg.", "psycopg2.", "django.")


class Pooled(Protocol):
    """What `raw_connection()` of an engine of SQLAlchemy gives."""

    @property
    def driver_connection(self) -> Any:
        """The driver's own connection."""
        ...


class Begun(Protocol):
    """What a `Connection` and a `Session` of SQLAlchemy know of transactions."""

    def in_transaction(self) -> bool:
        """Tell whether one has begun, though the database may not have heard of it yet."""
        ...

    def begin(self) -> AbstractContextManager[Any]:
        """Begin one."""
        ...

    def begin_nested(self) -> AbstractContextManager[Any]:
        """Begin a part of one that can fail by itself."""
        ...


def sqlalchemy_transactions(given: Any) -> Begun | None:
    """Return what keeps account of the transactions, if it is a `Connection` or a `Session` of SQLAlchemy."""
    names = _names(given)
    if any(name == "sqlalchemy.orm.scoping.scoped_session" for name in names):
        given = given()
        names = _names(given)
    known = {"sqlalchemy.engine.base.Connection", "sqlalchemy.orm.session.Session"}
    return given if known.intersection(names) else None


def driver_connection(given: Any) -> Any:
    """Return the driver's connection that something of SQLAlchemy holds; anything else as it is."""
    names = _names(given)
    if "sqlalchemy.orm.session.Session" in names:
        given = given.connection()
        names = _names(given)
    if "sqlalchemy.engine.base.Connection" in names:
        return _held(given.connection)
    return _held(given) if any(name.startswith("sqlalchemy.pool.") for name in names) else given


def is_of_another_driver(given: object) -> bool:
    """Tell whether it is known to be of a driver that the kit cannot use, whatever it looks like."""
    return any(name.startswith(_OTHER_DRIVERS) for name in _names(given))


def refusal(given: Any) -> TypeError:
    """Return the error for what is no connection that can be used."""
    names = _names(given)
    instead = next((hint for start, hint in _INSTEAD for name in names if name.startswith(start)), _PLAIN)
    return expected(_TAKEN, _shown(given), instead)


def refusal_to_await(given: Any) -> TypeError:
    """Return the error for what is no connection that can be awaited."""
    instead = "for a connection that blocks use the methods without _async"
    return expected("a psycopg.AsyncConnection", _shown(given), instead)


def expected(wanted: str, found: str, instead: str = _PLAIN) -> TypeError:
    """Return the error that says what was wanted, what was found and what to do."""
    return TypeError(f"expected {wanted}, found {found}: {instead}")


def _held(proxy: Any) -> Any:
    connection = proxy.driver_connection
    if inspect.iscoroutinefunction(getattr(connection, "execute", None)):
        raise expected("a connection of SQLAlchemy that blocks", "one whose driver is awaited", _AWAITED)
    return connection


def _shown(given: object) -> str:
    kind = type(given)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _names(given: object) -> list[str]:
    return [f"{one.__module__}.{one.__qualname__}" for one in type(given).__mro__]
