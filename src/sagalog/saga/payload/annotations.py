"""What annotations of fields contain: the types, nested ones included, and the metadata of `Annotated`."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from sagalog.saga.payload.anatomy import fields_of, is_pydantic


def fields_in(kind: Any) -> dict[str, Any]:
    """Return the annotations of a class's fields, by name; an empty dict if they cannot be resolved."""
    if is_pydantic(kind):
        return {name: (field.annotation, *field.metadata) for name, field in fields_of(kind).items()}
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:
        # The mistake is reported where the class is used.
        return {}


def inside(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and all that is nested in it, metadata included, but not the fields of classes."""
    left: list[Any] = [annotation]
    seen: set[int] = set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, tuple):
            left += one
            continue
        left += typing.get_args(one)
        left += getattr(one, "__metadata__", ())
        for more in ("__value__", "__supertype__"):
            # A named alias, or a NewType.
            if not inspect.isclass(one) and hasattr(one, more):
                left.append(getattr(one, more))


def metadata_in(kind: Any) -> Iterator[Any]:
    """Yield all types and metadata in the annotations of a class's fields."""
    for annotation in fields_in(kind).values():
        yield from inside(annotation)


def plain(annotation: Any) -> Any:
    """Return an annotation without the metadata of `Annotated`, as `typing.get_type_hints` gives it."""

    def holder() -> None: ...

    holder.__annotations__ = {"held": annotation}
    try:
        return typing.get_type_hints(holder)["held"]
    except Exception:
        # What is no annotation is reported where its values would be kept.
        return annotation


def unhashable_in(annotation: Any) -> str | None:
    """Return the name of an unhashable type in an annotation; None if none is found.

    A frozen class is hashed by its fields, which are looked at as well, unless it has a `__hash__` of its own.
    """
    left: list[Any] = [annotation]
    seen: set[Any] = set()
    while left:
        for one in inside(left.pop()):
            kind = typing.get_origin(one) or one
            if not inspect.isclass(kind) or id(kind) in seen:
                continue
            seen.add(id(kind))
            if _is_unhashable(kind):
                return kind.__name__
            if not _has_own_hash(kind) and kind.__hash__ is not object.__hash__:
                left += fields_in(kind).values()
    return None


def _is_unhashable(kind: Any) -> bool:
    if issubclass(kind, Struct) and not _has_own_hash(kind):
        # Every Struct has a `__hash__`, but that of these raises.
        return kind.__struct_config__.eq and not kind.__struct_config__.frozen
    return kind.__hash__ is None


def _has_own_hash(kind: Any) -> bool:
    found: object = inspect.getattr_static(kind, "__hash__", None)
    if not inspect.isfunction(found):
        return False
    # A generated `__hash__` is compiled from a string, or is pydantic's.
    return found.__code__.co_filename != "<string>" and not (found.__module__ or "").startswith("pydantic")
