"""Lets readers see the tables of a generation by their plain names, and only by names that nobody else has."""

import json
from collections.abc import Collection, Mapping, Sequence

from sagalog.errors import DefinitionError, InvalidAction, StoreError
from sagalog.projections.schema import shown_as
from sagalog.saga.failure import described
from sagalog.store.projections import ProjectionRow, ProjectionTransaction


def made_by(row: ProjectionRow) -> Sequence[tuple[str, str]]:
    """Return the (kind, name) of all that a generation has made."""
    return [(kind, name) for kind, name in json.loads(row.made)]


def names_of(row: ProjectionRow | None) -> dict[str, str]:
    """Return the views that readers use, and what of this generation each shows."""
    if row is None:
        return {}
    return {shown_as(name, row.generation): name for kind, name in made_by(row) if kind != "INDEX"}


def check_names(transaction: ProjectionTransaction, names: Collection[str], own: Collection[str]) -> None:
    """Raise `DefinitionError` for a name that something in the database has which is not the projection's `own`."""
    for name in names:
        if name not in own and transaction.is_taken(name):
            raise DefinitionError(
                f"expected nothing called {name} in the database, found something that is not of the projection; "
                "rename one of the two: the projection's is what stands in braces in its SQL"
            )


def show(transaction: ProjectionTransaction, after: ProjectionRow, before: ProjectionRow | None) -> None:
    """Let readers see a generation instead of another.

    Raises `DefinitionError` for a name that is taken, and `InvalidAction` if its tables cannot be shown.
    """
    names, own = names_of(after), names_of(before)
    check_names(transaction, names, own)
    try:
        _show(transaction, names, [name for name in own if name not in names])
    except (StoreError, InvalidAction, DefinitionError):
        raise
    except Exception as problem:
        if transaction.is_lost(problem):
            raise
        raise InvalidAction(
            f"generation {after.generation} of projection {after.projection} cannot be shown to readers: "
            f"{described(problem)}; its tables may be gone, or have a name that SQL reserves"
        ) from None


def _show(transaction: ProjectionTransaction, names: Mapping[str, str], gone: Sequence[str]) -> None:
    transaction.show(names, gone)
    for name in names:
        # SQLite makes a view of nothing, and says so to whoever reads it first.
        transaction.columns(name)
