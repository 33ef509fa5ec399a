"""What the annotations of classes with fields hold: types, however deep inside of others, and what was said of them."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from sagalog.saga.anatomy import fields_of, is_pydantic


def fields_in(kind: Any) -> dict[str, Any]:
    """Return the annotations of the fields of a class, by name; none if they cannot be resolved."""
    if is_pydantic(kind):
        return {name: (field.annotation, *field.metadata) for name, field in fields_of(kind).items()}
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:
        # Whoever reads the class says what is wrong with it.
        return {}


def inside(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and everything inside it, with what `Annotated` says, but not the fields of classes."""
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
            # A named alias, a NewType.
            if not inspect.isclass(one) and hasattr(one, more):
                left.append(getattr(one, more))


def metadata_in(kind: Any) -> Iterator[Any]:
    """Yield everything that the annotations of the fields of a class hold."""
    for annotation in fields_in(kind).values():
        yield from inside(annotation)
