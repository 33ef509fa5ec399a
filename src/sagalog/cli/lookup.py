"""Finds the saga that an argument names, and reads its history; it only reads."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from sagalog.cli.output import note
from sagalog.codec import CODEC
from sagalog.process_manager.inspection import not_found
from sagalog.saga.events import SagaEvent
from sagalog.saga.identifiers import check_lookup
from sagalog.store import Query, StatusRow, Store
from sagalog.store.filters import Filter

PAGE = 500
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


saga_option = click.option("--saga", metavar="NAME", help="The saga that the key belongs to, if several have it.")


def find(store: Store, id_or_key: str, saga: str | None = None) -> StatusRow:
    """Return the row of the saga with this id, or else of the newest one with this key; raises `SagaNotFound`."""
    check_lookup(id_or_key, "the id or key")
    row = store.status(id_or_key)
    if row is not None:
        return row
    found = store.find(Query(key=id_or_key, saga_name=saga, limit=20))
    if not found:
        raise not_found("id or key", id_or_key, saga)
    others = sorted({row.saga_name for row in found} - {found[0].saga_name})
    if others:
        note(f"{id_or_key} is also a key of {', '.join(others)}; this is the newest, --saga NAME shows another")
    return found[0]


def history(store: Store, saga_id: str) -> list[SagaEvent]:
    """Return all events of a saga."""
    return CODEC.decode_all((event.topic, event.state) for event in store.read(saga_id))


def where_option(function: FunctionT) -> FunctionT:
    """Add the option that takes a filter."""
    return click.option(
        "--where",
        metavar="FILTER",
        help="Only sagas that meet it: 'status=stuck and error~\"letter shop\" and age>10m'.",
    )(function)


def filter_of(where: str | None, now: int) -> Filter | None:
    """Return the filter that an option gives, if it does; its ages are those at `now`. Raises `InvalidQuery`."""
    if where is None:
        return None
    from sagalog.store.where import parse

    return parse(where, now)


def every_saga(store: Store, where: Filter | None = None, saga: str | None = None) -> Iterator[StatusRow]:
    """Yield the row of every saga that meets a filter, newest first, reading page by page."""
    before = None
    while True:
        page = store.find(Query(saga_name=saga, where=where, before=before, limit=PAGE))
        yield from page
        if len(page) < PAGE:
            return
        before = page[-1].saga_id
