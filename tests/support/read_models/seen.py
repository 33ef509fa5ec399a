"""A projection that keeps a row for every event that it is told of, to be counted against the log."""

from sagalog import Event
from sagalog.projections import Metadata, Projection, SagaHappening, Tables


class Praised(Event):
    """A domain event, which is an entry of the log like those of sagas."""

    order_id: str


def seen() -> Projection:
    """Return the projection."""
    projection = Projection("seen", sql="seen.sql")

    @projection.on
    def see(event: SagaHappening | Praised, metadata: Metadata, tables: Tables) -> None:
        tables.run("see", position=metadata.position)

    return projection
