"""Collections that grow with a saga: to change one costs the same with a hundred entries and with ten thousand. Pure.

A state is never changed, so each event copies what it changes. What is short is a plain `dict` or `tuple`, which is
copied whole. What is long has an old part, which its copies share, and a recent part, which alone is copied. When the
recent part has become long, too, both become the old part of the next copy. Nothing is written that others can see.
"""

import operator
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any, Self, TypeVar, overload

ValueT = TypeVar("ValueT")
OtherT = TypeVar("OtherT")
# The place of a name among all names, from 1, and its value.
Entry = tuple[int, ValueT]

# A collection of so many entries is a long one; so many changes make a recent part a long one.
LONG = 100


class Growing(Mapping[str, ValueT]):
    """A long mapping, in the order in which its names came; the recent part is in the order in which it was changed."""

    __slots__ = ("_size", "made_of", "old", "recent")

    def __init__(
        self,
        old: dict[str, Entry[ValueT]],
        recent: dict[str, Entry[ValueT]],
        size: int,
        made_of: Mapping[str, object],
    ) -> None:
        self.old = old
        self.recent = recent
        self._size = size
        # What became the old part: a plain mapping, or the recent part of an earlier copy.
        self.made_of = made_of

    def changed(self, name: str, value: ValueT) -> Self:
        """Return the mapping with another value of a name, or with a new name."""
        old, made_of = self.old, self.made_of
        if len(self.recent) < LONG:
            recent = self.recent.copy()
        else:
            old, made_of, recent = self._entries(), self.recent, {}
        before = recent.pop(name, None) or old.get(name)
        size = self._size if before is not None else self._size + 1
        recent[name] = (size if before is None else before[0], value)
        return type(self)(old, recent, size, made_of)

    def changes_since(self, before: "Mapping[str, ValueT]") -> list[tuple[int, str, ValueT]]:
        """Return what was changed since an earlier mapping that this one came from, as `changes` does."""
        found: list[tuple[str, Entry[ValueT]]] = []
        if self.made_of is (before.recent if isinstance(before, Growing) else before):
            found += self.recent.items()
        elif isinstance(before, Growing) and before.old is self.old:
            for name, entry in reversed(self.recent.items()):
                if before.recent.get(name) is entry:
                    break
                found.append((name, entry))
        else:
            found += [item for item in self._entries().items() if before.get(item[0]) is not item[1][1]]
        return [(place, name, value) for name, (place, value) in sorted(found, key=_place_of)]

    def place(self, name: str) -> int:
        """Return the place of a name, from 1."""
        return (self.recent.get(name) or self.old[name])[0]

    def plain(self) -> dict[str, ValueT]:
        """Return the same as a `dict`."""
        return {name: value for name, (_, value) in self._entries().items()}

    def _entries(self) -> dict[str, Entry[ValueT]]:
        entries = self.old.copy()
        entries.update(sorted(self.recent.items(), key=_place_of))
        return entries

    def __getitem__(self, name: str) -> ValueT:
        return (self.recent.get(name) or self.old[name])[1]

    @overload
    def get(self, key: str, /) -> ValueT | None: ...
    @overload
    def get(self, key: str, /, default: ValueT | OtherT) -> ValueT | OtherT: ...
    def get(self, key: str, /, default: Any = None) -> Any:
        """Return the value of a name, or `default`; several times faster than the one that it replaces."""
        entry = self.recent.get(key) or self.old.get(key)
        return default if entry is None else entry[1]

    def __contains__(self, name: object) -> bool:
        return name in self.recent or name in self.old

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def items(self) -> ItemsView[str, ValueT]:
        """Return the entries in order."""
        return self.plain().items()

    def values(self) -> ValuesView[ValueT]:
        """Return the values in order."""
        return self.plain().values()

    def __repr__(self) -> str:
        return repr(self.plain())


class GrowingIds(Growing[None]):  # noqa: PLW1641 - it has no hash, like every mapping
    """Many ids, in the order in which they came: what a `tuple` is for few."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, GrowingIds) else other)

    def __repr__(self) -> str:
        return repr(tuple(self))


def _place_of(item: tuple[str, Entry[Any]]) -> int:
    return item[1][0]


Entries = dict[str, ValueT] | Growing[ValueT]
Ids = tuple[str, ...] | GrowingIds


def changed(known: Entries[ValueT], name: str, value: ValueT) -> Entries[ValueT]:
    """Return a mapping with another value of a name, or with a new name behind all others."""
    if type(known) is dict and len(known) < LONG:
        return {**known, name: value}
    return _long(known).changed(name, value)


def _long(known: Entries[ValueT]) -> Growing[ValueT]:
    return known if isinstance(known, Growing) else Growing(_old_of(known), {}, len(known), known)


def _old_of(short: dict[str, ValueT]) -> dict[str, Entry[ValueT]]:
    return {name: (place, value) for place, (name, value) in enumerate(short.items(), 1)}


def changes(before: Entries[ValueT], after: Entries[ValueT]) -> list[tuple[int, str, ValueT]]:
    """Return each new name and each name of another value, with its place from 1, in their order.

    `after` came from `before` by any number of changes.
    """
    if after is before:
        return []
    if type(after) is not dict:
        return _long(after).changes_since(before)
    number = len(after)
    if number == len(before) + 1 and all(map(operator.is_, before.values(), after.values())):
        # The fast path: nearly always only the last one is new.
        name = next(reversed(after))
        return [(number, name, after[name])]
    known: dict[str, ValueT] = plain(before)
    found: list[tuple[int, str, ValueT]] = []
    for place, (name, value) in enumerate(after.items(), 1):
        if known.get(name) is not value:
            found.append((place, name, value))
    return found


def place(known: Entries[Any], name: str) -> int:
    """Return the place of a name, from 1."""
    return known.place(name) if isinstance(known, Growing) else list(known).index(name) + 1


def added(known: Ids, id: str) -> Ids:
    """Return ids with one more."""
    if type(known) is tuple and len(known) < LONG:
        return (*known, id)
    if not isinstance(known, GrowingIds):
        short: dict[str, None] = dict.fromkeys(known)
        known = GrowingIds(_old_of(short), {}, len(short), short)
    return known.changed(id, None)


def plain(collection: Any) -> Any:
    """Return a long collection as what it is when it is short; anything else as it is."""
    if type(collection) is dict or type(collection) is tuple:
        return collection  # pyright: ignore[reportUnknownVariableType]
    if isinstance(collection, GrowingIds):
        return tuple(collection)
    return collection.plain() if isinstance(collection, Growing) else collection  # pyright: ignore[reportUnknownVariableType]
