"""Everything that somebody's code may raise, and functions that raise it."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from sagalog import Command, Event, Refused, Retry
from sagalog.settings import Settings

QUICK = Settings(poll=0.01, grace=5)
TWICE = Retry(attempts=2, delay=0.001)


class Panic(BaseException):
    """What a native extension raises when it has lost its way."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Order(msgspec.Struct, frozen=True):
    id: str = "o-1"


class Asked(Event):
    id: str


class Done(Event):
    id: str


class Do(Command):
    id: str


# What is raised, and the error that is recorded of it.
RAISED: dict[str, tuple[Callable[[], BaseException], str, str]] = {
    "StopIteration": (StopIteration, "error", "StopIteration"),
    "StopAsyncIteration": (StopAsyncIteration, "error", "StopAsyncIteration"),
    "GeneratorExit": (GeneratorExit, "error", "GeneratorExit"),
    "SystemExit": (lambda: SystemExit(3), "error", "SystemExit"),
    "CancelledError": (asyncio.CancelledError, "error", "CancelledError"),
    "a panic": (lambda: Panic("lost"), "error", "Panic"),
    "a group of panics": (lambda: BaseExceptionGroup("all", [Panic("lost")]), "error", "Panic"),
    "no text": (Mute, "error", "Mute"),
    "NUL and surrogates": (lambda: ValueError("a\x00\udc80"), "error", "ValueError"),
    "a fault in a group": (lambda: ExceptionGroup("g", [ExceptionGroup("h", [NameError("x")])]), "fault", "NameError"),
    "refusals in a group": (lambda: ExceptionGroup("g", [Refused("no"), Refused("nor that")]), "refused", "Refused"),
    "a refusal beside an error": (
        lambda: ExceptionGroup("g", [Refused("no"), ConnectionError("cut")]),
        "error",
        "ConnectionError",
    ),
}


def raiser(what: str, is_async: bool, waits: bool = False) -> Callable[[], Any]:
    """Return a function, or a coroutine function, that raises one of `RAISED`."""
    make = RAISED[what][0]

    def plain() -> None:
        raise make()

    async def coroutine() -> None:
        if waits:
            await asyncio.sleep(0)
        raise make()

    return coroutine if is_async else plain
