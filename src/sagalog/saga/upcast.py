"""Which topic is which event class, and how the body of an older topic becomes the newest one. Pure.

No code is imported because of a stored row: a topic that is not registered is refused.
"""

from collections.abc import Callable
from typing import Any

from sagalog.errors import UnknownTopic
from sagalog.saga.events import EVENTS, SagaEvent

Body = dict[str, Any]
Upcaster = Callable[[Body], Body]


class TopicRegistry:
    """The event class of each current topic, and the upcaster of each older one."""

    def __init__(self, events: tuple[type[SagaEvent], ...] = EVENTS) -> None:
        self._classes = {event.TOPIC: event for event in events}
        self._upcasters: dict[str, tuple[Upcaster, str]] = {}

    def register_upcaster(self, topic: str, upcaster: Upcaster, newer: str) -> None:
        """Register how a body stored under `topic` becomes a body of topic `newer`; chains are followed to their end.

        `upcaster` takes the decoded body and returns the new one. Raises `ValueError` if `topic` is current, or leads
        back to itself.
        """
        seen, target = {topic}, newer
        while target in self._upcasters:
            target = self._upcasters[target][1]
            if target in seen:
                raise ValueError(f"the upcasters of {topic} lead in a circle")
        if topic in self._classes or newer == topic:
            raise ValueError(f"{topic} is a current topic and needs no upcaster")
        self._upcasters[topic] = (upcaster, newer)

    def current(self, topic: str) -> type[SagaEvent] | None:
        """Return the class of a current topic, or None for any other topic."""
        return self._classes.get(topic)

    def kind(self, topic: str) -> type[SagaEvent]:
        """Return the event class that a topic is read as; raises `UnknownTopic` for one that is not registered."""
        seen = topic
        while topic not in self._classes:
            if topic not in self._upcasters:
                raise unknown(seen)
            topic = self._upcasters[topic][1]
        return self._classes[topic]

    def upcast(self, topic: str, body: Body) -> tuple[type[SagaEvent], Body]:
        """Return the event class and the newest body; raises `UnknownTopic` for a topic that is not registered."""
        while topic not in self._classes:
            if topic not in self._upcasters:
                raise unknown(topic)
            upcaster, topic = self._upcasters[topic]
            body = upcaster(body)
        return self._classes[topic], body


def unknown(topic: str) -> UnknownTopic:
    """Return the error for a topic that is not registered."""
    return UnknownTopic(
        f"expected a registered topic, found {topic!r} in the log; "
        "a newer sagalog wrote it, or it is not an event of a saga"
    )


TOPICS = TopicRegistry()
