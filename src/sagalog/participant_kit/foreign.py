"""Objects given instead of a driver's connection: unwrapped if they hold one, otherwise refused with advice.

No library is imported for this: the full name of a type says where it comes from.
"""

import inspect
from contextlib import AbstractContextManager
from typing import Any, Protocol

_TAKEN = "a connection of sqlite3 or psycopg, or a Connection or Session of SQLAlchemy on one of them"
_PLAIN = "give the driver's own connection"
_AWAITED = "use a connection that blocks, or the methods with _async and a psycopg.AsyncConnection of its own"

# What to give instead, by the beginning of a type's full name; the first match counts.
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


# Some of these look like a connection of sqlite3 or psycopg, but fail when they are used.
_OTHER_DRIVERS = ("aiosqlite.", "asyncpg.", "psycopg2.", "django.")


class Pooled(Protocol):
    """The result of `raw_connection()` of a SQLAlchemy engine."""

    @property
    def driver_connection(self) -> Any:
        """Return the driver's own connection."""
        ...


class Begun(Protocol):
    """The methods for transactions of SQLAlchemy's `Connection` and `Session`."""

    def in_transaction(self) -> bool:
        """Tell whether a transaction has begun, even if nothing was sent to the database yet."""
        ...

    def begin(self) -> AbstractContextManager[Any]:
        """Begin a transaction."""
        ...

    def begin_nested(self) -> AbstractContextManager[Any]:
        """Begin a savepoint, a part of a transaction that can fail by itself."""
        ...


def sqlalchemy_transactions(given: Any) -> Begun | None:
    """Return `given` if it is a `Connection` or a `Session` of SQLAlchemy; otherwise None."""
    names = _names(given)
    if any(name == "sqlalchemy.orm.scoping.scoped_session" for name in names):
        given = given()
        names = _names(given)
    known = {"sqlalchemy.engine.base.Connection", "sqlalchemy.orm.session.Session"}
    return given if known.intersection(names) else None


def driver_connection(given: Any) -> Any:
    """Return the driver's connection inside an object of SQLAlchemy; any other object unchanged."""
    names = _names(given)
    if "sqlalchemy.orm.session.Session" in names:
        given = given.connection()
        names = _names(given)
    if "sqlalchemy.engine.base.Connection" in names:
        return _held(given.connection)
    return _held(given) if any(name.startswith("sqlalchemy.pool.") for name in names) else given


def is_of_another_driver(given: object) -> bool:
    """Tell whether an object is of a driver that the kit cannot use, whatever methods it has."""
    return any(name.startswith(_OTHER_DRIVERS) for name in _names(given))


def refusal(given: Any) -> TypeError:
    """Return the error for an object that is no usable connection."""
    names = _names(given)
    instead = next((hint for start, hint in _INSTEAD for name in names if name.startswith(start)), _PLAIN)
    return expected(_TAKEN, _shown(given), instead)


def refusal_to_await(given: Any) -> TypeError:
    """Return the error for an object that is no usable async connection."""
    instead = "for a connection that blocks use the methods without _async"
    return expected("a psycopg.AsyncConnection", _shown(given), instead)


def expected(wanted: str, found: str, instead: str = _PLAIN) -> TypeError:
    """Return the error with what was wanted, what was found, and what to do."""
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
