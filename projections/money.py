"""The daily ledger of money: captured, given back, earned, and in transit."""

from projections.fulfilling import PAYING, cents_of, is_order
from sagalog.projections import (
    Metadata,
    Projection,
    SagaCompleted,
    SagaHappening,
    StepCompensated,
    StepSucceeded,
    Tables,
)

money = Projection("money", version=1, sql="money.sql")


@money.on
def paid(event: StepSucceeded, about: Metadata, tables: Tables) -> None:
    """Enter what was captured; it is in transit from now on."""
    if is_order(about) and event.step in PAYING:
        _enter(tables, about, "captured", cents_of(event.result))


@money.on
def refunded(event: StepCompensated, about: Metadata, tables: Tables) -> None:
    """Enter what was given back; nothing if nobody ever heard that it was captured."""
    if is_order(about) and event.step in PAYING:
        _enter(tables, about, "refunded", _balance(tables, about))


@money.on
def earned(_: SagaCompleted, about: Metadata, tables: Tables) -> None:
    """Enter what the shop may keep, because the order is delivered."""
    if is_order(about):
        _enter(tables, about, "earned", _balance(tables, about))


@money.forget
def forgotten(_: SagaHappening, about: Metadata, tables: Tables) -> None:
    """Take out what moved for a saga; it can be rebuilt alone."""
    tables.run("forget", saga_id=about.saga_id)


def _balance(tables: Tables, about: Metadata) -> int:
    [(cents,)] = tables.rows("balance", saga_id=about.saga_id)
    return int(cents)


def _enter(tables: Tables, about: Metadata, what: str, cents: int) -> None:
    if cents:
        tables.run(
            "move",
            position=about.position,
            day=about.at.date().isoformat(),
            saga_id=about.saga_id,
            what=what,
            cents=cents,
            at=about.time,
        )
