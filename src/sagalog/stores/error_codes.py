"""What database errors mean, by the error codes of the drivers: one table for each. It knows no connection.

There are three kinds. Most errors are **transient**: the same call may succeed later, after whatever time
(`StoreUnavailable`, and any `StoreError` that is not named below; a damaged database is repaired by a person). Some
concern **this one write**: the database accepts others (`WriteRefused`). Some concern **the size of the batch**: a
smaller one may succeed (`BatchTooLarge`). An unknown code counts as one of this write: the write is then tried alone,
and nothing else is held up by it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sagalog.errors import (
    BatchTooLarge,
    RowsLocked,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    WriteRefused,
)


class Meaning(NamedTuple):
    """The error class for a code, and advice; SQLite's advice has a placeholder for the driver's text."""

    kind: type[StoreError]
    hint: str


UNKNOWN_FATE = "nobody knows whether it was written; doing the same again is safe"
_REFUSED = "the database does not take this write, and it takes others"
_INCOMPLETE = "its schema is incomplete: run `sagalog db upgrade`"
_DAMAGED = "it is not a healthy database: restore it from a backup"

UNKNOWN = Meaning(WriteRefused, _REFUSED)
NO_ANSWER = Meaning(StoreUnavailable, UNKNOWN_FATE)
TOO_SLOW = Meaning(BatchTooLarge, UNKNOWN_FATE)

# SQLSTATEs, and classes of them (their first two characters). `psycopg` groups by the first two only, which would
# make "read-only for a moment" an internal error and "this row is too large" a lost connection.
POSTGRES: Mapping[str, Meaning] = {
    "08": NO_ANSWER,
    "22": Meaning(WriteRefused, "the database cannot keep this value"),
    "23": Meaning(WriteRefused, "a constraint or a trigger of the database forbids this row"),
    "25": NO_ANSWER,
    "25006": Meaning(
        StoreReadOnly, "it can only be read: connect to the primary, and look at default_transaction_read_only"
    ),
    "25P04": Meaning(BatchTooLarge, "it took longer than transaction_timeout: look for long transactions and locks"),
    "28": Meaning(StoreUnavailable, "let this user in, or connect as another"),
    "3D": Meaning(StoreUnavailable, "create the database, or check the address"),
    "3F": Meaning(StoreError, "create the schema, or check search_path"),
    "40": NO_ANSWER,
    "42": Meaning(StoreError, _INCOMPLETE),
    "42501": Meaning(StoreError, "grant this user what is missing, or connect as another"),
    "53": Meaning(StoreUnavailable, "the server has not enough of what it needs for now"),
    "53100": Meaning(StoreFull, "there is no room left: make room, nothing that was acknowledged is lost"),
    "53200": Meaning(BatchTooLarge, "the server has not enough memory for so much at once"),
    "53300": Meaning(StoreUnavailable, "raise max_connections or use fewer connections"),
    "54": Meaning(WriteRefused, "something in it is larger than the database can keep"),
    "55": Meaning(StoreUnavailable, "something else has locked it: look for long transactions and locks"),
    "55P03": Meaning(RowsLocked, "something else has locked it: look for long transactions and locks"),
    "57": NO_ANSWER,
    "57014": Meaning(BatchTooLarge, "it took longer than statement_timeout: look for long transactions and locks"),
    "58": Meaning(StoreUnavailable, "the server cannot use its files: look at its log"),
    "F0": Meaning(StoreUnavailable, "the server cannot use its files: look at its log"),
    "P0": Meaning(WriteRefused, "a trigger or function of the database forbids it"),
    "XX001": Meaning(StoreError, _DAMAGED),
    "XX002": Meaning(StoreError, _DAMAGED),
}

# Names of result codes; the name of an extended code begins with that of its primary code.
_LOCKED = Meaning(StoreUnavailable, "is locked by another process ({}); end long transactions on it")
_UNHEALTHY = Meaning(StoreError, "is not a healthy SQLite database ({}); restore it from a backup")
_NO_ACCESS = "cannot be used ({}); give this user access to the file and its folder"
SQLITE_NO_ANSWER = Meaning(StoreUnavailable, "did not answer: {}")
SQLITE_UNKNOWN = Meaning(WriteRefused, f"does not take this ({{}}): {_REFUSED}")
SQLITE: Mapping[str, Meaning] = {
    "SQLITE_ABORT": SQLITE_NO_ANSWER,
    "SQLITE_AUTH": Meaning(StoreError, _NO_ACCESS),
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_CANTOPEN": Meaning(StoreUnavailable, _NO_ACCESS),
    "SQLITE_CONSTRAINT": Meaning(WriteRefused, "does not take this ({}): a constraint or a trigger forbids it"),
    "SQLITE_CORRUPT": _UNHEALTHY,
    "SQLITE_ERROR": Meaning(StoreError, f"cannot be used ({{}}); {_INCOMPLETE}"),
    "SQLITE_FULL": Meaning(StoreFull, "has no room left ({}); make room, nothing that was acknowledged is lost"),
    "SQLITE_INTERNAL": SQLITE_NO_ANSWER,
    "SQLITE_INTERRUPT": SQLITE_NO_ANSWER,
    "SQLITE_IOERR": Meaning(StoreUnavailable, "cannot be used for now ({}); look at its disk"),
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_MISUSE": SQLITE_NO_ANSWER,
    "SQLITE_NOLFS": SQLITE_NO_ANSWER,
    "SQLITE_NOMEM": Meaning(BatchTooLarge, "has not enough memory for so much at once ({})"),
    "SQLITE_NOTADB": _UNHEALTHY,
    "SQLITE_PERM": Meaning(StoreError, _NO_ACCESS),
    "SQLITE_PROTOCOL": SQLITE_NO_ANSWER,
    "SQLITE_READONLY": Meaning(
        StoreReadOnly, "cannot be written ({}); give this user access to the file and its folder"
    ),
    "SQLITE_SCHEMA": SQLITE_NO_ANSWER,
}

# Raised by drivers and by sagalog before a database has seen the value: a number that is too large, or invalid text.
CANNOT_BE_SENT = (OverflowError, UnicodeError)


def meaning_of(code: str, table: Mapping[str, Meaning], unknown: Meaning = UNKNOWN) -> Meaning:
    """Return the meaning of the longest prefix of `code` that is in the table; `unknown` if there is none."""
    for length in range(len(code), 1, -1):
        found = table.get(code[:length])
        if found is not None:
            return found
    return unknown
