"""A projection that writes down all it is told of sagas and their messages, with every field."""

import hashlib
import json

import msgspec
from read_models.order_book import Trouble
from sagas.parcels import ParcelOrdered, ParcelPacked

from sagalog import Retry
from sagalog.projections import Metadata, Projection, SagaHappening, Tables

# Whoever is tried again must wait until a test moves the clock.
SOON = Retry(attempts=None, for_=86_400, delay=1, factor=1, jitter=0)


def happenings(trouble: Trouble, batch: int) -> Projection:
    """Return the projection; `trouble` is called in the middle of each event, and may raise."""
    projection = Projection("happenings", sql="happenings.sql", retry=SOON, batch=batch)

    @projection.on
    def told(event: SagaHappening | ParcelOrdered | ParcelPacked, metadata: Metadata, tables: Tables) -> None:
        kind, fields = type(event).__name__, json.dumps(msgspec.to_builtins(event), sort_keys=True)
        tables.run("tell", kind=kind, fields=fields, **msgspec.structs.asdict(metadata))
        trouble(metadata, tables)
        found = tables.rows("last_of", correlation_id=metadata.correlation_id)
        linked = f"{found[0][0] if found else ''} {metadata.position} {kind} {fields}"
        digest = hashlib.blake2b(linked.encode(), digest_size=16).hexdigest()
        tables.run("chain", correlation_id=metadata.correlation_id, digest=digest)

    return projection
