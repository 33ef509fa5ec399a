"""Types whose values can never be kept, refused when they are declared: secrets, and fields that are never written."""

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from typing import Any, cast

from msgspec import Struct
from msgspec import inspect as types

from sagalog.messages import Message
from sagalog.saga.payload.anatomy import is_pydantic
from sagalog.saga.payload.annotations import fields_in, inside
from sagalog.saga.payload.pydantic_models import never_written, serializes_itself

_SERIALIZERS = ("PlainSerializer", "WrapSerializer")


def refuse_unkept(kind: Any) -> None:
    """Raise `TypeError` if values of a type, or of a type inside it, would not be written as they are."""
    for owner in classes_in(kind):
        lost = never_written(owner)
        if lost is not None:
            raise TypeError(
                f"{owner.__name__}.{lost} has exclude=True and no default, so it would be missing whenever it is read; "
                "give it a default, or leave it out"
            )
        for field, annotation in fields_in(owner).items():
            if not _is_written_by_the_user(owner, field, annotation):
                _refuse_secrets(annotation, f"{owner.__name__}.{field}")
    _refuse_secrets(kind, "it")
    _refuse_unchecked(kind)


def holds_messages(kind: Any) -> bool:
    """Tell whether a type is a message, or holds one."""
    return any(issubclass(one, Message) for one in classes_in(kind))


def classes_in(kind: Any) -> Iterator[type]:
    """Yield the classes with fields inside a type, each once."""
    left: list[Any] = [kind]
    seen: set[type] = set()
    while left:
        for one in inside(left.pop()):
            if inspect.isclass(one) and one not in seen and _has_fields(one):
                seen.add(one)
                yield one
                left += fields_in(one).values()


def _has_fields(kind: Any) -> bool:
    return (
        is_pydantic(kind)
        or issubclass(kind, Struct)
        or dataclasses.is_dataclass(kind)
        or typing.is_typeddict(kind)
        or hasattr(kind, "_fields")
    )


def _is_written_by_the_user(owner: Any, field: str, annotation: Any) -> bool:
    """Tell whether a user's serializer writes a field; then the user decides what is kept."""
    configured: dict[str, Any] = getattr(owner, "model_config", {}) if is_pydantic(owner) else {}
    if any(map(_is_secret, configured.get("json_encoders") or ())):
        return True
    return serializes_itself(owner, field) or any(type(one).__name__ in _SERIALIZERS for one in inside(annotation))


def _refuse_secrets(annotation: Any, where: str) -> None:
    for one in inside(annotation):
        if _is_secret(one):
            raise TypeError(
                f"{where} is a {one.__name__}, of which only asterisks would be kept; pass a reference to the secret, "
                "such as its name where secrets are kept, or declare a plain str if it may stand in the log"
            )


def _refuse_unchecked(annotation: Any) -> None:
    for one in inside(annotation):
        said: type[object] = type(cast(object, one))
        if not inspect.isclass(one) and said.__module__.partition(".")[0] in ("pydantic", "annotated_types"):
            raise TypeError(
                f"its {said.__name__} is pydantic's, which checks the fields of its own classes; here nobody would: "
                "write msgspec.Meta in its place, or a class of pydantic's around it"
            )


def _is_secret(kind: Any) -> bool:
    return inspect.isclass(kind) and hasattr(kind, "get_secret_value")


def pydantic_in(kind: Any) -> list[type]:
    """Return the pydantic classes inside a type that msgspec reads; sagalog has to read those itself.

    Raises `TypeError` for a class that neither msgspec nor pydantic can read.
    """
    classes: list[type] = []
    found: list[Any] = [types.type_info(kind)]
    seen: dict[int, Any] = {}
    while found:
        one = found.pop()
        if id(one) in seen or not isinstance(one, types.Type | types.Field):
            continue
        seen[id(one)] = one
        if isinstance(one, types.CustomType):
            if not is_pydantic(one.cls):
                raise TypeError(f"{one.cls.__name__} is neither a model, a Struct, a dataclass nor a plain type")
            classes.append(one.cls)
        for name in one.__struct_fields__:
            value = getattr(one, name)
            found += value if isinstance(value, tuple) else [value]
    return classes
