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
    return TOLD[type(fact)][1](fact), Metadata(
        id=f"{stored.saga_id}:{stored.version}",
        position=stored.position,
        time=fact.time,
        correlation_id=stored.saga_id if saga is None else saga.correlation_id,
        causation_id=None if saga is None else saga.causation_id,
        saga=None if saga is None else saga.saga_name,
        saga_id=stored.saga_id,
        key=None if saga is None else saga.saga_key,
        run=None if saga is None else saga.run,
    )
