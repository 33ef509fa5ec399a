"""Checks which texts every database can keep; only those that say why are changed."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import astuple

from sagalog.errors import InvalidIdentifier
from sagalog.saga.failure import storable
from sagalog.store import JobRow, Posting, Route


def is_storable(text: str) -> bool:
    """Tell whether a text has neither NUL, which PostgreSQL refuses, nor lone surrogates, which UTF-8 cannot encode."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def only_storable(texts: Iterable[str]) -> list[str]:
    """Return the texts that a database can hold; the others can match nothing there."""
    return [text for text in texts if is_storable(text)]


def check_postings(postings: Sequence[Posting]) -> None:
    """Raise `InvalidIdentifier` if a posting has a text that no store can keep."""
    for posting in postings:
        _check(posting.messages)
        _check([row for row in (posting.retry, posting.parked) if row is not None])


def check_route(route: Route) -> None:
    """Raise `InvalidIdentifier` if a route has a text that no store can keep."""
    _check(route.messages)
    _check(route.inbox)
    _check(route.parked)


def check_job(row: JobRow) -> None:
    """Raise `InvalidIdentifier` if a job has a text that no store can keep."""
    _check([row])


def shortened(text: str | None) -> str | None:
    """Return a text that says why, cut and written so that every store can keep it."""
    return None if text is None else storable(text)


def _check(rows: Iterable[Struct]) -> None:
    for row in rows:
        for field, value in zip(row.__struct_fields__, astuple(row), strict=True):
            if isinstance(value, str) and not is_storable(value):
                raise InvalidIdentifier(
                    f"{type(row).__name__}.{field}: no store can keep NUL or lone surrogates; replace them"
                )
