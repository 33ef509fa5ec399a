"""Inputs and results as JSON and back, by declared type: pydantic models by pydantic, everything else by msgspec.

Pydantic is recognised by what its models carry and is not imported here. A payload is at most `MAX_PAYLOAD` bytes.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import msgspec.inspect
from msgspec import Raw

from sagalog.errors import InvalidInput, PayloadTooLarge

MAX_PAYLOAD = 256 * 1024


def is_pydantic(kind: object) -> bool:
    """Tell whether `kind` is a pydantic model class."""
    return inspect.isclass(kind) and hasattr(cast(object, kind), "__pydantic_validator__")


def _to_plain(value: Any) -> Any:
    if is_pydantic(cast(object, type(value))):
        return value.model_dump(mode="json")
    raise TypeError(f"objects of type {type(value).__name__} cannot be stored as JSON")


def _from_plain(kind: type, value: Any) -> Any:
    if is_pydantic(kind):
        return cast(Any, kind).model_validate(value)
    raise TypeError(f"objects of type {kind.__name__} cannot be read from JSON")


def _strange(kind: Any) -> Iterator[type]:
    """Yield the classes inside a type that neither msgspec nor pydantic understands; msgspec would leave them to us."""
    found: list[Any] = [msgspec.inspect.type_info(kind)]
    seen: dict[int, Any] = {}
    while found:
        one = found.pop()
        if id(one) in seen or not isinstance(one, msgspec.inspect.Type | msgspec.inspect.Field):
            continue
        seen[id(one)] = one
        if isinstance(one, msgspec.inspect.CustomType) and not is_pydantic(one.cls):
            yield one.cls
        for name in one.__struct_fields__:
            value = getattr(one, name)
            found += value if isinstance(value, tuple) else [value]


_encode = msgspec.json.Encoder(enc_hook=_to_plain).encode


class PayloadType:
    """Read and write payloads of one declared type.

    `kind` is any type that msgspec can decode (dataclass, Struct, TypedDict, builtins, unions of them) or a pydantic
    model. Raises `TypeError` at once for a type that neither understands.
    """

    __slots__ = ("_decode", "_dump", "_particular", "kind", "name")

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.name: str = "None" if self.kind is type(None) else getattr(kind, "__name__", None) or str(kind)
        # The class that a value must be of before it is encoded; for most types decoding tells what does not fit.
        self._particular: type | None = None
        if is_pydantic(kind):
            self._particular = kind
            # bytes(): pydantic does not take a msgspec.Raw for the bytes that it is.
            self._decode: Callable[[bytes], Any] = lambda data: kind.model_validate_json(bytes(data))
            self._dump: Callable[[Any], bytes] = lambda value: value.model_dump_json().encode()
        else:
            for strange in _strange(kind):
                raise TypeError(f"{strange.__name__} is neither a model, a Struct, a dataclass nor a plain type")
            self._decode = msgspec.json.Decoder(kind, dec_hook=_from_plain).decode
            self._dump = _encode
            if self.kind in (None, type(None)):
                self._particular = type(None)

    def write(self, value: Any, what: str) -> Raw:
        """Return `value` as JSON that `read` is known to accept.

        Raises `TypeError` if it is not of the declared type and `PayloadTooLarge` if it is over the cap; `what` names
        the payload in the text.
        """
        try:
            data = self._encoded(value, what)
        except (ValueError, OverflowError, RecursionError) as problem:
            # Lone surrogates, loops, thousands of levels: the text does not hold the value, which may be a secret.
            raise InvalidInput(f"{what} cannot be stored as JSON: {type(problem).__name__}") from None
        if len(data) > MAX_PAYLOAD:
            raise PayloadTooLarge(
                f"{what} is {len(data):,} bytes of JSON, the cap is {MAX_PAYLOAD:,}; "
                "store large data elsewhere and pass a reference to it"
            )
        refuse_unstorable(data, what)
        return Raw(data)

    def _encoded(self, value: Any, what: str) -> bytes:
        if self._particular and not isinstance(value, self._particular):
            raise TypeError(f"{what}: expected {self.name}, found {type(value).__name__}")
        try:
            data = self._dump(value)
        except (ValueError, RecursionError) as problem:
            # A lone surrogate above all: text that no encoding can write.
            raise InvalidInput(f"{what} cannot be stored as JSON: {problem}") from None
        try:
            self._decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            found = type(value).__name__
            raise TypeError(f"{what}: expected {self.name}, found {found}: {problem}") from None
        return data

    def read(self, data: Raw | bytes) -> Any:
        """Return the value that `data` stands for; raises `InvalidInput` if it does not fit the type."""
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            raise InvalidInput(f"expected {self.name}, found other JSON: {problem}") from None


def refuse_unstorable(data: bytes, what: str) -> None:
    """Raise `InvalidInput` if JSON `data` holds a NUL, which PostgreSQL refuses."""
    if b"\\u0000" in data and b"\\u0000" in data.replace(b"\\\\", b""):
        raise InvalidInput(f"{what} holds a NUL character, which cannot be stored; remove it")
