"""A checked handler of a message as data: what it takes, and what it may answer. No handler is called here."""

import hashlib
import inspect
import types
import typing
from collections import abc
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, combinations, product
from typing import Any, Literal, cast

import msgspec
from msgspec import Raw, Struct

from sagalog.errors import InvalidInput
from sagalog.messages import Command, Event, Message, name_of
from sagalog.saga.binding import Parameter, not_by_name, without_none
from sagalog.saga.callables import annotations_of, handler_mistake, is_async, parameters_of
from sagalog.saga.context import StepContext
from sagalog.saga.happenings import CommandSent, SagaHappening, is_of_step
from sagalog.saga.identifiers import check_identifier
from sagalog.saga.metadata import Metadata
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.retry import Retry

# Too general to identify a message or an answer.
GENERAL = (Message, Event, Command)
# Names of messages are names of classes, so none of them is called like this.
TOLD_AS = "saga."

_PLAIN = (str, int, float, bool, bytes, dict, list, tuple, set, frozenset, object, type(None), Any)
_SEQUENCES = (list, tuple, abc.Sequence)


class MessageContext(Struct, frozen=True, kw_only=True):
    """What a handler may know about the message it is called for.

    `idempotency_key` is the message's id, the same for every attempt and every delivery. Pass it to the service that is
    called, so that a repeated call has one effect. `attempt` counts from 1. `source` is who published the message.
    """

    message_id: str
    correlation_id: str
    causation_id: str | None
    source: str
    attempt: int
    participant: str

    @property
    def idempotency_key(self) -> str:
        """Return the message's id, to be passed to services so that a repeated call has one effect."""
        return self.message_id


class Told(Struct, frozen=True):
    """What a note to a participant says: what has happened to a saga, as JSON, and to which saga, when and where."""

    event: Raw
    about: Metadata


class Handler(Struct, frozen=True):
    """A function that takes one type of message, or of what happens to sagas (a "note").

    `saga` and `step` say of which saga and step that has to be.

    The message is its first argument, by position; `parameters` are the others, by name. `outputs` are the types of
    events that it may answer with, and `ways` the combinations of them. `may_be_silent`: it may answer with nothing.
    `timeout` is in microseconds, for one attempt.
    """

    name: str
    kind: Literal["command", "event", "note"]
    message: type[Message] | type[SagaHappening]
    message_name: str
    payload: PayloadType | None
    function: Callable[..., Any]
    is_async: bool
    parameters: tuple[Parameter, ...]
    outputs: tuple[type[Event], ...]
    may_be_silent: bool
    ways: tuple[tuple[type[Event], ...], ...]
    retry: Retry
    timeout: int | None
    saga: str | None = None
    step: str | None = None

    def read(self, data: Raw | bytes) -> Message | SagaHappening:
        """Return the typed message; raises `InvalidInput` for data that does not fit its type."""
        if self.payload is None:
            return msgspec.json.decode(told_of(data).event, type=self.message)
        message: Message = self.payload.take(data)
        return message

    def takes(self, told: Told) -> bool:
        """Tell whether a note is of the saga and the step that this handler is for."""
        if self.saga is not None and self.saga != told.about.saga:
            return False
        return self.step is None or is_of_step(_step.decode(told.event).step, self.step)

    def answers(self, returned: object) -> list[Event]:
        """Return what the function returned as the list of events that it answers with.

        Raises `TypeError` for a result that it did not declare.
        """
        given: list[object] = []
        if isinstance(returned, list | tuple):
            given += cast(Sequence[object], returned)
        elif returned is not None:
            given.append(returned)
        answers = [one for one in given if isinstance(one, Event) and type(one) in self.outputs]
        if len(answers) == len(given) and (given or self.may_be_silent):
            return answers
        declared = [kind.__name__ for kind in self.outputs] + ["None"] * self.may_be_silent
        returns = ", ".join(type(one).__name__ for one in given) or "nothing"
        raise TypeError(f"handler {self.name}: expected {' or '.join(declared)}, found {returns}")


class DeclaredHandler(Struct):
    """A handler as it was declared; without `message`, the type of its first parameter is the message."""

    kind: Literal["command", "event"]
    message: type[Message] | type[SagaHappening] | None
    function: Callable[..., Any]
    name: str
    retry: Retry
    timeout: int | None
    saga: str | None = None
    step: str | None = None


class _OfStep(Struct):
    step: str | None = None


_step = msgspec.json.Decoder(_OfStep)
_told = msgspec.json.Decoder(Told)


def told_of(data: Raw | bytes) -> Told:
    """Return what the data of a note to a participant say; raises `InvalidInput` for anything else."""
    try:
        return _told.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as problem:
        raise InvalidInput(f"expected a note about a saga, found {problem}") from None


def told_name(kind: type[SagaHappening]) -> str:
    """Return the name of a note about what happens to sagas."""
    return TOLD_AS + kind.__name__


def output_id(message_id: str, participant: str, handler: str, number: int) -> str:
    """Return the id of a handler's answer to a message: the same however often the message is handled."""
    text = f"{message_id}\0{participant}\0{handler}\0{number}"
    return "r-" + hashlib.sha256(text.encode()).hexdigest()[:32]


def read_handler(declared: DeclaredHandler) -> tuple[list[Handler], list[str]]:
    """Return a `Handler` for each declared type of message, and the mistakes found."""
    mistakes: list[str] = []
    if not _is_name(declared.name):
        mistakes.append(f"its name {declared.name!r} cannot be stored; give name=")
    wrong = handler_mistake(declared.function, first=True)
    if wrong is not None:
        return [], [*mistakes, wrong]
    try:
        hints = annotations_of(declared.function)
        signature = parameters_of(declared.function)
    except Exception as problem:
        return [], [f"the annotations cannot be resolved ({problem}); import the types where the handler is declared"]
    messages = list(_messages(declared, signature, hints, mistakes))
    parameters = [found for one in signature[1:] if (found := _parameter(one, hints, mistakes)) is not None]
    ways = _ways(hints, mistakes)
    handlers: list[Handler] = []
    for message in messages:
        payload: PayloadType | None = None
        try:
            if issubclass(message, Message):
                payload = PayloadType(message)
        except Exception as problem:
            mistakes.append(f"{message.__name__} cannot be stored as JSON ({problem})")
            continue
        handlers.append(
            Handler(
                name=declared.name,
                kind=declared.kind if issubclass(message, Message) else "note",
                message=message,
                message_name=name_of(message) if issubclass(message, Message) else told_name(message),
                payload=payload,
                function=declared.function,
                is_async=is_async(declared.function),
                parameters=tuple(parameters),
                outputs=tuple(dict.fromkeys(kind for way in ways for kind in way)),
                may_be_silent=() in ways,
                ways=ways,
                retry=declared.retry,
                timeout=declared.timeout,
                saga=declared.saga,
                step=declared.step,
            )
        )
    return handlers, mistakes


def _is_name(name: str) -> bool:
    try:
        check_identifier(name, "the name of a handler", 200)
    except Exception:
        return False
    return True


def _messages(
    declared: DeclaredHandler, signature: list[inspect.Parameter], hints: dict[str, Any], mistakes: list[str]
) -> Iterator[type[Message] | type[SagaHappening]]:
    """Yield the types of messages that the handler takes: the one given, or those of its first parameter."""
    wanted: type[Message] = Command if declared.kind == "command" else Event
    word, other = ("handles", "on") if declared.kind == "command" else ("on", "handles")
    first = signature[0] if signature else None
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        mistakes.append(f"its first parameter must be the {declared.kind} that it takes")
        return
    if first.name not in hints:
        mistakes.append(f"its first parameter {first.name} has no type; annotate it with the {declared.kind}")
        return
    annotated = _members(hints[first.name])
    for kind in annotated if declared.message is None else [declared.message]:
        shown = getattr(kind, "__name__", None) or str(kind)
        if isinstance(kind, type) and issubclass(kind, SagaHappening):
            wrong = _note_mistake(declared, kind)
            if wrong is None:
                yield kind
            else:
                mistakes.append(wrong)
        elif not (isinstance(kind, type) and issubclass(kind, Message)):
            mistakes.append(
                f"its first parameter {first.name} must be a message, found {shown}; subclass {wanted.__name__}"
            )
        elif kind in GENERAL:
            mistakes.append(f"{shown} says no type; take the {declared.kind}s that are meant, or a union of them")
        elif not issubclass(kind, wanted):
            mistakes.append(f"{word} takes {declared.kind}s, and {shown} is none; declare it with {other}")
        elif not any(isinstance(one, type) and issubclass(kind, one) for one in annotated):
            mistakes.append(f"it is declared for {shown}, but its first parameter {first.name} does not take that")
        else:
            yield kind


def _note_mistake(declared: DeclaredHandler, kind: type[SagaHappening]) -> str | None:
    """Return what is wrong with a handler of what happens to sagas; None if nothing is."""
    if declared.kind == "command":
        return f"handles takes commands, and {kind.__name__} is none; declare it with on"
    if kind is SagaHappening:
        return "SagaHappening says no type; take the events that are meant, or a union of them"
    if kind is CommandSent:
        return "a command that was sent is handled as the command itself; declare it with handles"
    if declared.step is not None and "step" not in kind.__struct_fields__:
        return f"step= goes with events of steps, and {kind.__name__} is none"
    return None


def _members(annotation: Any) -> list[Any]:
    """Return the members of a union, or the one type of any other annotation."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for one in typing.get_args(annotation) for member in _members(one)]
    return [annotation]


def _parameter(parameter: inspect.Parameter, hints: dict[str, Any], mistakes: list[str]) -> Parameter | None:
    """Return where the value of a further parameter comes from; None if it needs none, or on a mistake."""
    has_default = parameter.default is not parameter.empty
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        mistakes.append(f"parameter {parameter.name} {not_by_name(parameter)}")
        return None
    if parameter.name not in hints:
        if not has_default:
            mistakes.append(f"parameter {parameter.name} has no type, so nothing provides it; annotate it")
        return None
    kind, optional = without_none(hints[parameter.name])
    shown = getattr(kind, "__name__", None) or str(kind)
    if kind is MessageContext:
        return Parameter(parameter.name, "context")
    if kind is Metadata:
        return Parameter(parameter.name, "metadata")
    if kind is StepContext:
        mistakes.append(f"parameter {parameter.name}: StepContext is for steps of sagas; take MessageContext")
    elif isinstance(kind, type) and issubclass(kind, Message):
        mistakes.append(
            f"parameter {parameter.name}: only the first parameter is a message, and {shown} comes after it"
        )
    elif kind not in _PLAIN and isinstance(kind, type) and typing.get_origin(kind) is None:
        return Parameter(parameter.name, "service", kind, optional)
    elif not has_default:
        mistakes.append(f"parameter {parameter.name}: nothing provides {shown}: it is no service")
    return None


def _ways(hints: dict[str, Any], mistakes: list[str]) -> tuple[tuple[type[Event], ...], ...]:
    """Return what the handler may answer by its return annotation: each way as the events that come together."""
    if "return" not in hints:
        mistakes.append("it does not say what it returns; annotate it with -> Event types or -> None")
        return ((),)
    found: dict[tuple[type[Event], ...], None] = {}
    for member in _members(hints["return"]):
        given = [one for one in typing.get_args(member) if one is not Ellipsis]
        if typing.get_origin(member) not in _SEQUENCES:
            found.update(dict.fromkeys(_way(member, mistakes)))
        elif typing.get_origin(member) is tuple and Ellipsis not in typing.get_args(member):
            parts = [[way for one in _members(part) for way in _way(one, mistakes)] for part in given]
            found.update((tuple(chain.from_iterable(ways)), None) for ways in product(*parts))
        else:
            kinds = [kind for part in given for one in _members(part) for way in _way(one, mistakes) for kind in way]
            # It may hold any of these events in any number, so each combination of them is a way.
            found.update((way, None) for size in range(len(kinds) + 1) for way in combinations(kinds, size))
    return tuple(found)


def _way(kind: Any, mistakes: list[str]) -> list[tuple[type[Event], ...]]:
    """Return the one way that a single type stands for; an empty list, and a mistake, if it is no event."""
    if kind in (None, type(None)):
        return [()]
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event:
        return [(kind,)]
    shown = getattr(cast(object, kind), "__name__", None) or str(cast(object, kind))
    more = "say which events" if kind is Event else "it may return events, sequences of them, or None"
    mistakes.append(f"it returns {shown}; {more}")
    return []
