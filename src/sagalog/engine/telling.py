"""What has happened to a saga, told in public words from an entry of the log: to projections, and to participants."""

from sagalog.codec import CODEC
from sagalog.saga.happenings import TOLD, SagaHappening
from sagalog.saga.metadata import Metadata
from sagalog.saga.upcast import TOPICS
from sagalog.store import StatusRow, StoredEvent


def kind_of(topic: str) -> type[SagaHappening]:
    """Return what an entry of a saga's stream tells of, without reading it."""
    return TOLD[TOPICS.kind(topic)][0]


def tell(stored: StoredEvent, saga: StatusRow | None) -> tuple[SagaHappening, Metadata]:
    """Return what an entry of a saga's stream tells; raises `DivergentHistory` for one that cannot be read."""
    fact = CODEC.decode(stored.topic, stored.state)
    saga_id = stored.saga_id
    identity = f"{saga_id}:{stored.version}"
    if saga is None:
        about = Metadata(identity, stored.position, fact.time, saga_id, None, saga_id=saga_id)
    else:
        # By position: names would take as long as all else here.
        about = Metadata(
            identity,
            stored.position,
            fact.time,
            saga.correlation_id,
            saga.causation_id,
            saga.saga_name,
            saga_id,
            saga.saga_key,
            saga.run,
        )
    return TOLD[type(fact)][1](fact), about
