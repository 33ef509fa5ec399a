"""Events in stored form: a topic and JSON, and back through the registry. Stored data cannot cause an import."""

from collections.abc import Iterable
from typing import Any

import msgspec

from sagalog.errors import DivergentHistory
from sagalog.saga.events import SagaEvent
from sagalog.saga.growing import plain
from sagalog.saga.upcast import TOPICS, TopicRegistry


def _plain(value: Any) -> Any:
    """Return a long collection of a state as a short one is; raise what the encoder raises without this function."""
    found = plain(value)
    if found is value:
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
    return found


_encoder = msgspec.json.Encoder(enc_hook=_plain)
encode_json = _encoder.encode


class Codec:
    """Writes and reads saga events, with the topics of one registry."""

    def __init__(self, topics: TopicRegistry = TOPICS) -> None:
        self._topics = topics
        self._decoders: dict[str, msgspec.json.Decoder[SagaEvent]] = {}

    def encode(self, event: SagaEvent) -> tuple[str, bytes]:
        """Return the topic and the JSON of an event."""
        return event.TOPIC, encode_json(event)

    def decode(self, topic: str, state: bytes) -> SagaEvent:
        """Return the event; raises `UnknownTopic`, or `DivergentHistory` if the JSON is not that event's."""
        try:
            decoder = self._decoders.get(topic)
            if decoder is None:
                current = self._topics.current(topic)
                if current is None:
                    kind, body = self._topics.upcast(topic, msgspec.json.decode(state))
                    return msgspec.json.decode(encode_json(body), type=kind)
                decoder = self._decoders[topic] = msgspec.json.Decoder(current)
            return decoder.decode(state)
        except (msgspec.MsgspecError, RecursionError) as problem:
            raise DivergentHistory(f"expected the JSON of {topic}, found something else: {problem}") from None

    def decode_all(self, stored: Iterable[tuple[str, bytes]]) -> list[SagaEvent]:
        """Decode a stream of (topic, JSON)."""
        return [self.decode(topic, state) for topic, state in stored]


CODEC = Codec()
