"""Moments of a saga: a version or a time, read from the command line and found among its events; it reads no clock."""

import re
from collections.abc import Sequence
from typing import Any, Final

import click

from sagalog.cli.failures import NotThere
from sagalog.cli.quantities import moment
from sagalog.saga.events import SagaEvent
from sagalog.store.quantities import parse_moment

Moment = tuple[str, int]
"""("version", number), or ("time", microseconds)."""
_VERSION: Final = re.compile(r"\d{1,18}", re.ASCII)


def moment_of(text: str) -> Moment:
    """Return the moment that a text names; raises `ValueError` if it is neither a version nor a time."""
    return ("version", int(text)) if _VERSION.fullmatch(text) else ("time", parse_moment(text))


def named_moment(text: str) -> tuple[str, Moment | None]:
    """Return the name of a saga and the moment behind its last `@`: `ada@2`, `ada@2026-01-01T12:00`.

    What is no moment belongs to the name (`ada@example.org`), and nothing behind the `@` means that all before it is
    the name: `ada@2@` is the saga of the key `ada@2`.
    """
    name, at, behind = text.rpartition("@")
    if not at or not name:
        return text, None
    if not behind:
        return name, None
    try:
        return name, moment_of(behind)
    except ValueError:
        return text, None


class At(click.ParamType["Moment"]):
    """A version, or a time."""

    name = "VERSION|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """Return ("version", number) or ("time", microseconds)."""
        try:
            return moment_of(str(value))
        except ValueError as problem:
            self.fail(f"{problem}; or a version such as 3", param, ctx)


def until(events: Sequence[SagaEvent], at: Moment) -> list[int]:
    """Return the numbers, from 0, of a saga's events up to a moment.

    Raises `NotThere` if there was no saga then, or never that version.
    """
    kind, limit = at
    if kind == "version" and limit > len(events):
        raise NotThere(f"the saga has {len(events)} events, there is no version {limit}")
    if kind == "version":
        found = list(range(limit))
    else:
        found = [number for number, event in enumerate(events) if event.time <= limit]
    if not found:
        began = moment(events[0].time, "microseconds")
        raise NotThere(f"there was no saga yet: it began at {began}, with version 1")
    return found
