"""How messages stand in the log, the same in every store: streams and topics. It reads and writes nothing."""

# An event, or a command that no saga issued, is a stream of its own with its envelope as the one event.
PUBLISHED = "sagalog.MessagePublished.1"
PREFIX = "message:"


def stream_of(message_id: str) -> str:
    """Return the id of the stream that a published message is."""
    return PREFIX + message_id


def is_message_stream(stream_id: str) -> bool:
    """Tell whether a stream of the log is a published message and no saga."""
    return stream_id.startswith(PREFIX)
