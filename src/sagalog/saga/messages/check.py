"""Checks of the messages that a saga declares, and the rules of the definition made from them."""

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, cast

from sagalog.messages import Command, CommandRefused, Event, Message, name_of
from sagalog.saga.binding import result_type
from sagalog.saga.callables import handler_mistake, question_mistake
from sagalog.saga.definition import CancelRule, Exchange, StartRule, WaitRule
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.written import DeclaredReplies, DeclaredSaga, DeclaredStep

Mistakes = list[str]
Commands = dict[type[Message], PayloadType]


def is_event(kind: Any) -> bool:
    """Tell whether `kind` is a declared event."""
    return inspect.isclass(kind) and issubclass(kind, Event) and kind is not Event


def event_payload(kind: Any, what: str, mistakes: Mistakes) -> PayloadType | None:
    """Return how an event is read; None, with a mistake that names `what`, if it is no event or cannot be stored."""
    if not is_event(kind):
        mistakes.append(f"{what} must be a class of Event, found {_shown(kind)}")
        return None
    return _payload(kind, what, mistakes)


def exchange_of(
    handler: Callable[..., Any], replies: DeclaredReplies, what: str, may_be_local: bool, mistakes: Mistakes
) -> Exchange | None:
    """Return the commands that a function may return, and their answers; None if it returns no command.

    `may_be_local`: it may also return None, as a compensation does that undoes the step itself.
    """
    commands, local = _commands(handler, what, mistakes)
    if local and not may_be_local:
        mistakes.append(f"{what} must return a command, and may return None; a request always sends one")
    if not commands:
        if not may_be_local:
            mistakes.append(f"{what} must return a command: annotate it with a class of Command")
        elif replies.reply is not None or replies.refused:
            mistakes.append(f"{what} returns no command, so nothing replies; remove reply= and refused=")
        return None
    success = None
    if replies.reply is not None or not may_be_local:
        success = event_payload(replies.reply, f"{what}: the reply", mistakes)
    refusals: set[str] = set()
    for kind in (CommandRefused, *replies.refused):
        if event_payload(kind, f"{what}: refused=", mistakes) is None:
            continue
        refusals.add(name_of(kind))
        if kind is replies.reply:
            mistakes.append(f"{what}: {_shown(kind)} is the reply and refuses; it can be only one of them")
    return Exchange(
        success=success,
        success_name=None if success is None else name_of(success.kind),
        refusals=frozenset(refusals),
        commands=commands,
    )


def exchange_of_request(step: DeclaredStep, mistakes: Mistakes) -> Exchange | None:
    """Return which commands a request may send and what answers them; None for any other step."""
    if step.replies is None:
        return None
    if step.timeout is None:
        mistakes.append(f"request {step.name} has no timeout, so a reply that is lost would be waited for for ever")
    if handler_mistake(step.handler, step.fan is not None) is not None:
        return None
    return exchange_of(step.handler, step.replies, f"request {step.name}", False, mistakes)


def wait_of(step: DeclaredStep, mistakes: Mistakes) -> WaitRule | None:
    """Return the rule of a wait: its event, and how the saga is found; None for any other step."""
    if step.kind == "sleep" and step.timeout is None:
        mistakes.append(f"sleep {step.name} has no duration, so it would never end")
    if step.kind != "wait":
        return None
    what = f"wait {step.name}"
    key: Any = step.event_key
    if key is None:
        mistakes.append(f"{what} has no key, so nobody could tell which saga an event is for; give key=")
    elif (wrong := question_mistake(key, "the event", step.event)) is not None:
        mistakes.append(f"{what}: key= {wrong}")
    payload = event_payload(step.event, f"{what}: the event", mistakes)
    return None if payload is None else WaitRule(payload, name_of(payload.kind), cast("Callable[[Any], str]", key))


def starts_of(declared: DeclaredSaga, mistakes: Mistakes) -> tuple[StartRule, ...]:
    """Return the events that start a saga."""
    rules: list[StartRule] = []
    waited = [step.event for stage in declared.stages for step in stage if step.kind == "wait"]
    for start in declared.starts:
        what = f"started_by {_shown(start.event)}"
        if start.key is None and declared.key is None:
            mistakes.append(f"{what} has no key, so a repeated start could not be recognised; give key=")
        for given, name in ((start.input, "input"), (start.key, "key")):
            wrong = question_mistake(given, "the event", start.event)
            if wrong is not None and (given is not None or name == "input"):
                mistakes.append(f"{what}: {name}= {wrong}")
        if start.event in waited:
            mistakes.append(f"{what} is waited for by a step, too: an event starts a saga or is waited for, not both")
        payload = event_payload(start.event, f"{what}: the event", mistakes)
        if payload is None:
            continue
        if any(rule.name == name_of(payload.kind) for rule in rules):
            mistakes.append(f"{what} is declared twice; keep one")
        rules.append(StartRule(payload, name_of(payload.kind), start.input, start.key))
    return tuple(rules)


def cancels_of(declared: DeclaredSaga, mistakes: Mistakes) -> tuple[CancelRule, ...]:
    """Return the events that cancel a saga."""
    rules: list[CancelRule] = []
    taken = _taken_by(declared)
    for cancel in declared.cancels:
        what = f"cancelled_by {_shown(cancel.event)}"
        if (wrong := question_mistake(cancel.key, "the event", cancel.event)) is not None:
            mistakes.append(f"{what}: key= {wrong}")
        if cancel.before_start not in ("park", "prevent"):
            mistakes.append(f'{what}: before_start= must be "park" or "prevent", found {cancel.before_start!r}')
        prevents = cancel.before_start == "prevent"
        if prevents and declared.after_end == "rerun":
            mistakes.append(f'{what} cannot prevent a start of a saga with after_end="rerun", which starts again')
        if is_event(cancel.event) and cancel.event in taken:
            mistakes.append(f"{what} {taken[cancel.event]}, too: an event means one thing to a saga")
        payload = event_payload(cancel.event, f"{what}: the event", mistakes)
        if payload is None:
            continue
        if any(rule.name == name_of(payload.kind) for rule in rules):
            mistakes.append(f"{what} is declared twice; keep one")
        rules.append(CancelRule(payload, name_of(payload.kind), cancel.key, prevents))
    return tuple(rules)


def _taken_by(declared: DeclaredSaga) -> dict[Any, str]:
    """Return what else an event does for a saga, by its class."""
    uses: list[tuple[Any, str]] = [(start.event, "starts it") for start in declared.starts]
    for step in (step for stage in declared.stages for step in stage):
        undo = None if step.compensation is None else step.compensation.replies
        if step.kind == "wait":
            uses.append((step.event, f"is waited for by {step.name}"))
        for replies in (step.replies, undo):
            if replies is not None:
                uses += [(kind, f"answers {step.name}") for kind in (replies.reply, *replies.refused)]
    # What is no event is told as a mistake of its own.
    return {kind: use for kind, use in uses if is_event(kind)}


def _commands(handler: Callable[..., Any], what: str, mistakes: Mistakes) -> tuple[Commands, bool]:
    """Return the annotated command types of a function, and whether it may return None."""
    try:
        found = result_type(handler)
    except Exception:
        # Reported already, with the names that cannot be found.
        return {}, True
    if found is inspect.Parameter.empty:
        mistakes.append(f"{what} does not say what it returns; annotate it with the command, or -> None")
        return {}, True
    commands: Commands = {}
    local = False
    for kind in _members(found):
        if kind in (None, type(None)):
            local = True
        elif not inspect.isclass(kind) or not issubclass(kind, Command) or kind is Command:
            mistakes.append(f"{what} must return a class of Command, found {_shown(kind)}")
        else:
            payload = _payload(kind, what, mistakes)
            if payload is not None:
                commands[kind] = payload
    return commands, local


def _members(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


def _payload(kind: type[Message], what: str, mistakes: Mistakes) -> PayloadType | None:
    try:
        return PayloadType(kind)
    except Exception as problem:
        mistakes.append(f"{what}: {_shown(kind)} cannot be stored as JSON ({problem})")
        return None


def _shown(kind: Any) -> str:
    return getattr(kind, "__name__", None) or repr(kind)
