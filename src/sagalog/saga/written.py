"""A saga as it was declared, before anything is checked; there are no rules here."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from sagalog.saga.callables import is_async
from sagalog.saga.definition import StepKind
from sagalog.saga.retry import COMPENSATION_RETRY, Retry


class DeclaredReplies:
    """The declared answers to a command."""

    def __init__(self, reply: Any, refused: Any) -> None:
        self.reply = reply
        self.refused: tuple[Any, ...] = tuple(cast("Iterable[Any]", refused)) if _is_listed(refused) else (refused,)


def _is_listed(given: object) -> bool:
    return isinstance(given, list | tuple | set | frozenset)


class DeclaredCompensation:
    """A declared compensation; with `replies` its handler may return a command."""

    def __init__(
        self,
        handler: Callable[..., Any],
        retry: Retry | None,
        timeout: int | None,
        replies: DeclaredReplies | None = None,
    ) -> None:
        self.handler = handler
        self.retry = COMPENSATION_RETRY if retry is None else retry
        self.timeout = timeout
        self.replies = replies


# How many parts of a step run at a time with `at_once=True`.
AT_ONCE = 100


class DeclaredFanOut:
    """The declared `for_each=` and `at_once=`."""

    def __init__(self, elements: Any, at_once: bool | int) -> None:
        self.elements = elements
        self.at_once = at_once

    @property
    def width(self) -> int:
        """Return how many parts may be under way at a time."""
        if isinstance(self.at_once, bool):
            return AT_ONCE if self.at_once else 1
        return self.at_once


class DeclaredChild:
    """The declared child saga of a step; `takes_input`: its function takes the parent's input and nothing else."""

    def __init__(self, saga: Any, takes_input: bool) -> None:
        self.saga = saga
        self.takes_input = takes_input


class DeclaredStep:
    """A step as it was declared."""

    def __init__(
        self,
        *,
        name: str,
        handler: Callable[..., Any],
        retry: Retry | None,
        timeout: int | None,
        pivot: bool,
        when: Any,
        waived: bool,
        kind: StepKind = "call",
        replies: DeclaredReplies | None = None,
        event: Any = None,
        event_key: Any = None,
        fan: DeclaredFanOut | None = None,
        child: DeclaredChild | None = None,
        attributes: Any = None,
    ) -> None:
        self.name = name
        self.handler = handler
        self.retry = retry
        self.timeout = timeout
        self.pivot = pivot
        self.when = when
        self.waived = waived
        self.kind: StepKind = kind
        self.replies = replies
        self.event = event
        self.event_key = event_key
        self.fan = fan
        self.child = child
        self.attributes = attributes
        self.compensation: DeclaredCompensation | None = None
        self.is_async = is_async(handler)


def fan_out(elements: Any, at_once: bool | int) -> DeclaredFanOut | None:
    """Return the declared elements and width; None without `for_each=`."""
    return None if elements is None and at_once is False else DeclaredFanOut(elements, at_once)


def nothing() -> None:
    """Do nothing: the handler of a step that has none; it is never called."""


def still(
    name: str,
    kind: StepKind,
    timeout: int | None,
    when: Any,
    event: Any = None,
    key: Any = None,
    attributes: Any = None,
) -> DeclaredStep:
    """Return a step without a handler, which has nothing to retry and nothing to undo."""
    return DeclaredStep(
        name=name,
        handler=nothing,
        retry=None,
        timeout=timeout,
        pivot=False,
        when=when,
        waived=True,
        kind=kind,
        event=event,
        event_key=key,
        attributes=attributes,
    )


class DeclaredStart:
    """A declared event that starts a saga."""

    def __init__(self, event: Any, input: Any, key: Any) -> None:
        self.event = event
        self.input = input
        self.key = key


class DeclaredCancel:
    """A declared event that cancels a saga."""

    def __init__(self, event: Any, key: Any, before_start: str) -> None:
        self.event = event
        self.key = key
        self.before_start = before_start


class DeclaredSaga:
    """A saga as it was declared; each of `stages` is a list of steps that run side by side."""

    def __init__(
        self,
        *,
        name: str,
        version: int,
        input: Any,
        timeout: int | None,
        key: Callable[[Any], str] | None,
        after_end: str,
        attributes: Any = None,
    ) -> None:
        self.name = name
        self.version = version
        self.input = input
        self.timeout = timeout
        self.key = key
        self.after_end = after_end
        self.attributes = attributes
        self.stages: list[list[DeclaredStep]] = []
        self.starts: list[DeclaredStart] = []
        self.cancels: list[DeclaredCancel] = []
