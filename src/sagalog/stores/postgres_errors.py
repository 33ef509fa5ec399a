"""PostgreSQL's errors in our words, with what to do about them; no text of it ever holds a password."""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg import errors

from sagalog.address import cut
from sagalog.errors import StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from sagalog.harmless import harmless


class TimedOut(psycopg.OperationalError):
    """The database did not answer within our own bound, whatever it or the network promised."""


class _Meaning(NamedTuple):
    kind: type[StoreError]
    hint: str


LONGEST_TEXT = 2_000
_UNKNOWN_FATE = "nobody knows whether it was written; doing the same again is safe"

_BY_CLASS: dict[type[psycopg.Error], _Meaning] = {
    errors.ReadOnlySqlTransaction: _Meaning(
        StoreReadOnly, "it can only be read: connect to the primary, and look at default_transaction_read_only"
    ),
    errors.DiskFull: _Meaning(StoreFull, "there is no room left: make room, nothing that was acknowledged is lost"),
    errors.InsufficientPrivilege: _Meaning(StoreError, "grant this user what is missing, or connect as another"),
    errors.UndefinedTable: _Meaning(StoreError, "its schema is incomplete: run `sagalog db upgrade`"),
    errors.QueryCanceled: _Meaning(
        StoreUnavailable, "it took longer than statement_timeout: look for long transactions and locks"
    ),
    errors.TooManyConnections: _Meaning(StoreUnavailable, "raise max_connections or use fewer connections"),
    TimedOut: _Meaning(StoreUnavailable, _UNKNOWN_FATE),
}

# What a connection attempt is refused with has no code, only the server's text.
_BY_TEXT = (
    ("password authentication failed", "check the user and the password in the address"),
    ("no password supplied", "give a password in the address, in PGPASSWORD or in ~/.pgpass"),
    ("no pg_hba.conf entry", "let this user and machine in by pg_hba.conf"),
    ("does not exist", "create it, or check the address"),
    ("read-only transaction", "connect to the primary"),
    ("Connection refused", "is the server running, and is this its host and port?"),
    ("could not translate host name", "check the host in the address"),
    ("failed to resolve host", "check the host in the address"),
    ("connection timeout expired", "is the server running, and can this machine reach it?"),
)


def translated(problem: BaseException, where: str, secrets: Sequence[str] = ()) -> StoreError:
    """Return one of our errors for one of psycopg's or of the recorders'.

    `where` names the database without secrets; `secrets` are cut out of the text should a server repeat one.
    """
    cause = problem
    while isinstance(cause, PersistenceError) and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    text = harmless(cut(" ".join(str(cause).split()), secrets), LONGEST_TEXT) or type(cause).__name__
    for kind, meaning in _BY_CLASS.items():
        if isinstance(cause, kind):
            return meaning.kind(f"{where}: {text}; {meaning.hint}")
    unavailable = isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    for part, hint in _BY_TEXT:
        if unavailable and part in text:
            return StoreUnavailable(f"{where}: {text}; {hint}")
    if unavailable:
        return StoreUnavailable(f"{where} did not answer: {text}; {_UNKNOWN_FATE}")
    return StoreError(f"{where}: {text}")
