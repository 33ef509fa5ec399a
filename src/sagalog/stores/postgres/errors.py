"""PostgreSQL's errors as errors of sagalog, with advice; no text ever holds a password."""

from collections.abc import Sequence

import psycopg
from eventsourcing.persistence import PersistenceError

from sagalog.address import cut
from sagalog.errors import StoreError, StoreUnavailable
from sagalog.harmless import harmless
from sagalog.stores.error_codes import NO_ANSWER, POSTGRES, TOO_SLOW, UNKNOWN, meaning_of

LONGEST_TEXT = 2_000


class TimedOut(psycopg.OperationalError):
    """Raised when the database did not answer within our own limit, whatever limits it and the network have."""


# A refused connection attempt has no code, only the server's text.
_BY_TEXT = (
    ("password authentication failed", "check the user and the password in the address"),
    ("no password supplied", "give a password in the address, in PGPASSWORD or in ~/.pgpass"),
    ("no pg_hba.conf entry", "let this user and machine in by pg_hba.conf"),
    ("does not exist", "create it, or check the address"),
    ("read-only transaction", "connect to the primary"),
    ("Connection refused", "is the server running, and is this its host and port?"),
    ("could not translate host name", "check the host in the address"),
    ("failed to resolve host", "check the host in the address"),
    ("server does not support SSL", "turn on ssl at the server, or write sslmode=prefer in the address"),
    ("channel binding required", "let the server speak SSL, or write channel_binding=prefer in the address"),
    ("connection timeout expired", "is the server running, and can this machine reach it?"),
)


def translated(problem: BaseException, where: str, secrets: Sequence[str] = ()) -> StoreError:
    """Return an error of sagalog for one of psycopg, of the recorders, or for a value that cannot be sent.

    `where` names the database without secrets; `secrets` are removed from the text in case a server repeats one.
    """
    cause = problem
    while isinstance(cause, PersistenceError) and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    text = harmless(cut(" ".join(str(cause).split()), secrets), LONGEST_TEXT) or type(cause).__name__
    code = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    if code is not None:
        meaning = meaning_of(code, POSTGRES)
        return meaning.kind(f"{where}: {text}; {meaning.hint}")
    if isinstance(cause, TimedOut):
        return TOO_SLOW.kind(f"{where}: {text}; {TOO_SLOW.hint}")
    if not isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return UNKNOWN.kind(f"{where}: {text}; {UNKNOWN.hint}")
    for part, hint in _BY_TEXT:
        if part in text:
            return StoreUnavailable(f"{where}: {text}; {hint}")
    return NO_ANSWER.kind(f"{where} did not answer: {text}; {NO_ANSWER.hint}")
