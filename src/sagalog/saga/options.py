"""Checks of single options of a declaration: each returns the value, or raises `DefinitionError`.

What an option means together with others is checked when the declaration is built.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from sagalog.errors import DefinitionError
from sagalog.harmless import harmless
from sagalog.saga.callables import name_of_callable
from sagalog.saga.durations import LONGEST, Duration, seconds_of
from sagalog.saga.identifiers import exact_text

KindT = TypeVar("KindT")

# The largest integer that the column of every store holds.
LARGEST_VERSION = 1_000_000_000
_SHOWN = 80


def shown(given: object) -> str:
    """Return a given value as an error shows it: on one line, shortened, even if its `repr` raises."""
    try:
        return harmless(repr(given), _SHOWN)
    except Exception:
        return f"something of type {type(given).__name__} that cannot be shown"


def microseconds(given: Duration | None, what: str) -> int | None:
    """Return a duration in microseconds; raises `DefinitionError` for a value that is out of range."""
    if given is None:
        return None
    seconds = seconds_of(given)
    if not 0 < seconds < LONGEST:
        raise DefinitionError(
            f"{what}: expected a timeout over 0 seconds and under 100 years, found {shown(given)}; "
            "write seconds, such as 60, or timedelta(minutes=1)"
        )
    return int(seconds * 1_000_000)


def flag(given: object, option: str, what: str) -> bool:
    """Return a bool; raises `DefinitionError` for any other type, whose truth may not be what was meant."""
    if not isinstance(given, bool):
        raise DefinitionError(f"{what}: expected True or False for {option}=, found {shown(given)}")
    return given


def step_name(name: object, function: object) -> str:
    """Return the name of a step or a handler: the one given, as plain text, or that of its function."""
    if name is None:
        return name_of_callable(function)
    if not isinstance(name, str) or not name:
        raise DefinitionError(
            f"{name_of_callable(function)}: expected a text for name=, found {shown(name)}; leave it out to have the "
            "name of the function"
        )
    return exact_text(name)


class Unset:
    """The default of an argument where None has a meaning of its own."""


UNSET = Unset()


def waives(compensation: object, what: str) -> bool:
    """Tell whether `compensation=None` was given; raises `DefinitionError` for any other value."""
    if compensation is not None and compensation is not UNSET:
        raise DefinitionError(
            f"{what}: expected nothing but None for compensation=, which says that there is nothing to undo, "
            f"found {shown(compensation)}; declare how it is undone with @{what.partition(' ')[2]}.compensate"
        )
    return compensation is None


def several(given: object, kind: type[KindT], option: str) -> list[KindT]:
    """Return the members of a list; raises `DefinitionError` for a single member without a list, and for no list."""
    expected = f"expected a list of {kind.__name__} for {option}=, found"
    if isinstance(given, kind):
        raise DefinitionError(f"{expected} one that stands alone, {shown(given)}; write {option}=[...] around it")
    members = listed(given)
    if members is None:
        raise DefinitionError(f"{expected} {shown(given)}; write {option}=[...]")
    for one in members:
        if not isinstance(one, kind):
            raise DefinitionError(f"{expected} {shown(one)} in it")
    return members


def listed(given: object) -> list[Any] | None:
    """Return the members of an iterable; None for a text, for a mapping, and for what cannot be iterated."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        return None
    return list(cast("Iterable[object]", given))


def version_mistake(version: object) -> str | None:
    """Return what is wrong with the version of a declaration; None if nothing is."""
    if isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= LARGEST_VERSION:
        return None
    return f"version must be a whole number from 1 to {LARGEST_VERSION:,}, found {shown(version)}"
