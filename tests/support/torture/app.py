"""All that a torture run runs, as an app that `sagalog --app torture.app` finds."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from torture.ledger import Ledger
from torture.voyages import CHOREOGRAPHIES, PARTICIPANTS, SAGAS, voyage_services

import domain

sagas = [*domain.sagas, *SAGAS]
participants = PARTICIPANTS
choreographies = CHOREOGRAPHIES


@contextmanager
def services() -> Generator[Mapping[type, object]]:
    """Open the shop, and a ledger in memory: what is checked calls nobody."""
    with domain.services() as shop:
        yield {**shop, **voyage_services(Ledger(":memory:"))}
