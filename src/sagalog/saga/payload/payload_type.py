"""Inputs and results as JSON and back, by declared type: pydantic's classes by pydantic, everything else by msgspec.

A value that would be read back differently is refused when it is written. A payload has at most `MAX_PAYLOAD` bytes.
"""

import contextlib
import re
from collections.abc import Callable
from typing import Any, is_typeddict

import msgspec
from msgspec import Raw

from sagalog.errors import InvalidInput, PayloadTooLarge
from sagalog.saga.payload.anatomy import class_of, fields_of, first_part, is_pydantic, not_finite, smallest
from sagalog.saga.payload.difference import NOT_FINITE, difference
from sagalog.saga.payload.exact import exact
from sagalog.saga.payload.pydantic_models import Model, model_of
from sagalog.saga.payload.refused_types import holds_messages, pydantic_in, refuse_unkept
from sagalog.saga.payload.unkept import too_long, why_unkept
from sagalog.saga.payload.unread import Unread, why_unread

MAX_PAYLOAD = 256 * 1024
# A NUL as JSON writes it; if a backslash precedes, it is text that only looks like it.
_NUL = b"\\u0000"

_NULL = re.compile(r"\bnull\b")
# Names that say nothing without the brackets that follow.
_SPECIAL = frozenset({"Annotated", "Literal", "Optional", "Union"})

Read = Callable[[bytes | Raw], Any]


def _to_plain(value: Any) -> Any:
    kind = class_of(value)
    if is_pydantic(kind):
        return model_of(kind).to_plain(value)
    raise TypeError(f"objects of type {type(value).__name__} cannot be stored as JSON")


_encode = msgspec.json.Encoder(enc_hook=_to_plain).encode


def _reader(kind: Any, way: Callable[[Model], Callable[[bytes], Any]]) -> Read:
    """Return a decoder for a type that may contain pydantic classes, which are read in one given `way`."""

    def from_plain(inner: type, value: Any) -> Any:
        try:
            # As JSON: a strict model accepts text for a time only from JSON, not from Python values.
            return way(model_of(inner))(msgspec.json.encode(value))
        except Exception as problem:
            raise Unread(problem) from None

    return msgspec.json.Decoder(kind, dec_hook=from_plain).decode


class PayloadType:
    """How payloads of one declared type are read and written.

    `kind` is a type that msgspec can decode (dataclass, Struct, TypedDict, builtins, unions of them) or a pydantic
    class. Raises `TypeError` at once for a type whose values cannot be kept.
    """

    __slots__ = ("_accept", "_class", "_dump", "_exact", "_read", "_take", "_written", "kind", "name")

    def __init__(self, kind: Any) -> None:
        self.kind: Any = kind
        self.name: str = _name_of(kind)
        refuse_unkept(kind)
        # The class that a value must have before it is encoded; for most types decoding finds what does not fit.
        self._class: type | None = type(None) if kind in (None, type(None)) else None
        self._exact: Callable[[Any], bool] | None = None
        self._dump: Callable[[Any], bytes] = _encode
        if is_pydantic(kind):
            self._class = kind
            model = model_of(kind)
            self._dump = model.dump
            # bytes(): pydantic does not accept a msgspec.Raw as bytes.
            self._accept: Read = lambda data: model.accept(bytes(data))
            self._take: Read = lambda data: model.take(bytes(data))
            self._read: Read = lambda data: model.read(bytes(data))
        elif pydantic_in(kind):
            self._accept = _reader(kind, lambda model: model.accept)
            self._take = _reader(kind, lambda model: model.take)
            self._read = _reader(kind, lambda model: model.read)
        else:
            self._accept = self._take = self._read = msgspec.json.Decoder(kind).decode
            self._exact = exact(kind)
        # Other services validate a message in full when they read it, so it is checked the same way here.
        self._written = self._read
        if self._read is not self._accept and holds_messages(kind):
            self._written = self._accept

    def write(self, value: Any, what: str) -> Raw:
        """Return `value` as JSON that is read back as the same value.

        Raises `TypeError` if it is not of the declared type, `InvalidInput` with the path of a part that would change,
        and `PayloadTooLarge` if it is over the size limit. `what` names the payload in the error.
        """
        if self._class is not None and not isinstance(value, self._class):
            raise TypeError(f"{what}: $: expected {self.name}, found {type(value).__name__}")
        data = self._encoded(value, what)
        if len(data) > MAX_PAYLOAD:
            raise PayloadTooLarge(
                f"{what} is {len(data):,} bytes of JSON, the cap is {MAX_PAYLOAD:,}; "
                "store large data elsewhere and pass a reference to it"
            )
        if _NUL in data:
            refuse_unstorable(data, f"{what}: {smallest(value, _holds_nul)[0]}")
        if self._exact is None or not self._exact(value):
            self._compare(value, data, what)
        return Raw(data)

    def _encoded(self, value: Any, what: str) -> bytes:
        try:
            return self._dump(value)
        except RecursionError:
            raise InvalidInput(f"{what} cannot be stored as JSON: it has too many levels, or holds itself") from None
        except Exception as problem:
            # A type without a JSON form, or text with a lone surrogate. The text of `problem` may hold the value.
            text = f"{what}: {why_unkept(value, _cannot_be_written)}"
            raise (TypeError if isinstance(problem, TypeError) else InvalidInput)(text) from None

    def _compare(self, value: Any, data: bytes, what: str) -> None:
        """Raise `TypeError` or `InvalidInput` unless `data` is read back as `value`."""
        try:
            read = self._written(data)
        except Exception as problem:
            path = not_finite(value)
            if path is not None:
                raise InvalidInput(f"{what}: {path}: {NOT_FINITE}") from None
            digits = too_long(value)
            if digits is not None:
                raise InvalidInput(f"{what}: {digits}") from None
            raise TypeError(f"{what}: {self._misfit(value, problem)}") from None
        try:
            differs = difference(value, read)
        except RecursionError:
            differs = "$: too many levels"
        if differs is not None:
            raise InvalidInput(f"{what} would not be read back as it is: {differs}")

    def _misfit(self, value: Any, problem: Exception) -> str:
        """Return why the JSON of a value cannot be read as the declared type: the path, and the mistake, said once.

        The value comes from Python, so the text says None where JSON says null.
        """
        if self._is_of_another(class_of(value)):
            found = "None" if value is None else type(value).__name__
            return f"$: expected {self.name}, found {'another class of that name' if found == self.name else found}"
        path, colon, why = why_unread(problem).partition(": ")
        if why.endswith("found float") and first_part(value, lambda one: isinstance(one, float)) is None:
            # msgspec reports an unexpected whole number of more than 64 bits as a float.
            why = why.removesuffix("float") + "int"
        return path + colon + (_NULL.sub("None", why) if why.startswith("expected ") else why)

    def _is_of_another(self, kind: type) -> bool:
        """Tell whether a class is not the declared one; False if the declared type is no class."""
        if not isinstance(self.kind, type) or is_typeddict(self.kind):
            return False
        return not issubclass(kind, self.kind) and not (self.kind is float and issubclass(kind, int))

    def accept(self, data: Raw | bytes) -> Any:
        """Return data from outside, validated in full; raises `InvalidInput` if it does not fit the type."""
        try:
            return self._accept(data)
        except Exception as problem:
            raise self._unfit(problem) from None

    def take(self, data: Raw | bytes) -> Any:
        """Return data that was accepted and has waited in the log: as `accept`, without rules about the clock."""
        try:
            return self._take(data)
        except Exception as problem:
            raise self._unfit(problem) from None

    def read(self, data: Raw | bytes) -> Any:
        """Return recorded data: the user's validators neither refuse nor change what was accepted before.

        Raises `InvalidInput` if it does not fit the type in any way of reading.
        """
        try:
            return self._written(data)
        except Exception as problem:
            first = problem
        # A message may have waited longer than its rules about time allow. Other data may have been written for an
        # older type, which the user's validators convert.
        for way in (self._take, self._read, self._accept):
            if way is self._written:
                continue
            with contextlib.suppress(Exception):
                return way(data)
        raise self._unfit(first)

    def _unfit(self, problem: Exception) -> InvalidInput:
        """Return the error for JSON that does not fit, also if a validator of the user raised."""
        return InvalidInput(f"expected {self.name}, found other JSON: {why_unread(problem)}")


def _name_of(kind: Any) -> str:
    if kind is type(None):
        return "None"
    named = getattr(kind, "__name__", None)
    return str(kind).replace("typing.", "") if named is None or named in _SPECIAL else named


def _cannot_be_written(whole: Any, label: Any, part: Any) -> bool:
    try:
        kind = class_of(whole)
        if is_pydantic(kind) and label in fields_of(kind):
            # The model decides how its field is written.
            model_of(kind).dump(whole, only=label)
        else:
            _encode(part)
    except Exception:
        return True
    return False


def _holds_nul(_whole: Any, _label: Any, part: Any) -> bool:
    return _NUL in _encode(part).replace(b"\\\\", b"")


def refuse_unstorable(data: bytes, what: str) -> None:
    """Raise `InvalidInput` if JSON `data` holds a NUL, which PostgreSQL refuses."""
    if _NUL in data and _NUL in data.replace(b"\\\\", b""):
        raise InvalidInput(f"{what} holds a NUL character, which cannot be stored; remove it")
