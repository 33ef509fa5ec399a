"""Tests for values that are known to be unchanged when they are read back, made once for each declared type.

If a value passes the test, it need not be read back and compared. If it fails, or its type has no test, it must be.
"""

import dataclasses
import inspect
import math
import operator
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, Flag
from typing import Any

from msgspec import Struct
from msgspec import inspect as types

from sagalog.saga.payload.anatomy import is_pydantic

Test = Callable[[Any], bool]

# Types with one JSON form, so that the exact type is enough; values of a subclass would lose their class.
_THEMSELVES: dict[type, type] = {
    types.NoneType: type(None),
    types.BoolType: bool,
    types.IntType: int,
    types.StrType: str,
    types.BytesType: bytes,
    types.DateType: date,
    types.DecimalType: Decimal,
}
# Types that JSON keeps apart, so that a union of them is read back correctly.
_DISTINCT = frozenset({bool, int, str, type(None)})


def exact(kind: Any) -> Test | None:
    """Return a test that only values pass that are read back unchanged; None if the type has no such test."""
    return _Tests().of(types.type_info(kind))


class _Tests:
    """Makes the test for a type out of the tests for its parts."""

    def __init__(self) -> None:
        self._within: set[int] = set()

    def of(self, info: types.Type) -> Test | None:
        # A recursive type may nest too deep to be read, though it can be written.
        if id(info) in self._within:
            return None
        self._within.add(id(info))
        try:
            return self._of(info)
        finally:
            self._within.discard(id(info))

    def _of(self, info: types.Type) -> Test | None:
        own = leaves(info)
        if own is not None:
            return lambda value: type(value) in own
        if isinstance(info, types.FloatType) and _is_bare(info):
            return lambda value: type(value) is float and math.isfinite(value)
        if isinstance(info, types.UUIDType):
            # By its name: the module `uuid` makes random ids, so the kernel must not import it.
            return lambda value: (type(value).__module__, type(value).__name__) == ("uuid", "UUID")
        if isinstance(info, types.DateTimeType) and _is_bare(info):
            return lambda value: type(value) is datetime and (value.tzinfo is UTC or not (value.tzinfo or value.fold))
        if isinstance(info, types.LiteralType):
            meant = frozenset((type(one), one) for one in info.values)
            kinds = frozenset(type(one) for one in info.values)
            return lambda value: type(value) in kinds and (type(value), value) in meant
        if isinstance(info, types.UnionType):
            return self._optional(info)
        if isinstance(info, types.ListType) and info.min_length is None and info.max_length is None:
            return self._all(list, self.of(info.item_type), leaves(info.item_type))
        if isinstance(info, types.DictType) and info.min_length is None and info.max_length is None:
            return self._mapping(info)
        if isinstance(info, types.StructType | types.DataclassType):
            # A generic class appears with its arguments, such as `Box[int]`.
            kind: Any = typing.get_origin(info.cls) or info.cls
            return self._fields(kind, info.fields) if _is_made_of_its_fields(kind) else None
        return None

    def _optional(self, info: types.UnionType) -> Test | None:
        """Return the test for `T | None`. Other unions get none: JSON alone does not say which member is read."""
        others = [one for one in info.types if not isinstance(one, types.NoneType)]
        test = self.of(others[0]) if len(others) == 1 else None
        return None if test is None else lambda value: value is None or test(value)

    def _all(self, kind: Any, test: Test | None, own: frozenset[type] | None) -> Test | None:
        if own is not None:
            known = own.__contains__
            return lambda value: type(value) is kind and all(map(known, map(type, value)))
        return None if test is None else lambda value: type(value) is kind and all(map(test, value))

    def _mapping(self, info: types.DictType) -> Test | None:
        test = self.of(info.value_type)
        if test is None or leaves(info.key_type) != frozenset({str}):
            return None
        known = frozenset({str}).__contains__

        def test_all(value: Any) -> bool:
            given: dict[Any, Any] = value
            return type(value) is dict and all(map(known, map(type, given))) and all(map(test, given.values()))

        return test_all

    def _fields(self, kind: type, fields: tuple[types.Field, ...]) -> Test | None:
        """Return the test for a class: all plain fields at once, the others one after the other."""
        plain = {one.name: own for one in fields if (own := leaves(one.type)) is not None}
        others: list[tuple[Callable[[Any], Any], Test]] = []
        for field in fields:
            if field.name in plain:
                continue
            test = self.of(field.type)
            if test is None:
                return None
            others.append((operator.attrgetter(field.name), test))
        # With a second name, `attrgetter` always returns a tuple, even for one field.
        values = operator.attrgetter(*plain, "__class__")
        allowed = (*plain.values(), frozenset({type(kind)}))
        is_itself = _instance(kind, [one.name for one in fields])

        def test_all(value: Any) -> bool:
            return (
                is_itself(value)
                and all(map(operator.contains, allowed, map(type, values(value))))
                and all(holds(part(value)) for part, holds in others)
            )

        if not plain:
            return lambda value: is_itself(value) and all(holds(part(value)) for part, holds in others)
        return test_all


def _instance(kind: Any, fields: list[str]) -> Test:
    """Return a test for exact instances of a class with no attributes beside its fields."""
    if not kind.__dictoffset__:
        return lambda value: type(value) is kind
    # Compared in the order in which they are set; another order only means a closer look.
    held = [name for name in fields if not inspect.ismemberdescriptor(inspect.getattr_static(kind, name, None))]
    return lambda value: type(value) is kind and [*value.__dict__] == held


def leaves(info: types.Type) -> frozenset[type] | None:
    """Return the exact types that a value may have; None if the types alone are not enough."""
    if isinstance(info, types.UnionType):
        several = [leaves(one) for one in info.types]
        known = frozenset(kind for one in several if one is not None for kind in one)
        if None in several or not (known <= _DISTINCT or (len(several) == 2 and type(None) in known)):
            return None
        return known
    if isinstance(info, types.EnumType):
        return None if issubclass(info.cls, Flag) or not issubclass(info.cls, Enum) else frozenset({info.cls})
    kind = _THEMSELVES.get(type(info))
    return frozenset({kind}) if kind is not None and _is_bare(info) else None


def _is_made_of_its_fields(kind: Any) -> bool:
    """Tell whether all fields of a class are written, and reading them is enough to make an equal instance."""
    if hasattr(kind, "__post_init__") or is_pydantic(kind):
        return False
    if issubclass(kind, Struct):
        return not kind.__struct_config__.omit_defaults
    return all(one.init and not one.name.startswith("_") for one in dataclasses.fields(kind))


def _is_bare(info: types.Type) -> bool:
    """Tell whether a type has no constraints beside the type itself."""
    return all(getattr(info, name) is None for name in info.__struct_fields__)
