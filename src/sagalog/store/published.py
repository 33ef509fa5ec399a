"""How published messages are stored in the log, the same in every store: their streams and topics."""

# An event, or a command that no saga sent, is a stream of its own whose only event is the envelope.
PUBLISHED = "sagalog.MessagePublished.1"
PREFIX = "message:"


def stream_of(message_id: str) -> str:
    """Return the id of the stream of a published message."""
    return PREFIX + message_id


def is_message_stream(stream_id: str) -> bool:
    """Tell whether a stream of the log is a published message, not a saga."""
    return stream_id.startswith(PREFIX)
