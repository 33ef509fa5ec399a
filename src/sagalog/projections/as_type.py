"""What an event brings, read as the type that it was declared with."""

from functools import cache
from typing import Any, TypeVar

from sagalog.codec import encode_json
from sagalog.saga.payload.payload_type import PayloadType

KindT = TypeVar("KindT")


@cache
def _payload(kind: Any) -> PayloadType:
    return PayloadType(kind)


def as_type(data: Any, kind: type[KindT]) -> KindT:
    """Return an event's `input`, `result` or `data` as the type it was declared with; raises `InvalidInput`."""
    declared: Any = kind
    found: KindT = _payload(declared).take(encode_json(data))
    return found
