"""The sagas, choreographies and participants of one process manager, checked together."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from sagalog.errors import DefinitionError
from sagalog.messages import Message
from sagalog.saga.binding import Parameter
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.declare import Saga
from sagalog.saga.definition import CancelRule, Definition, StartRule
from sagalog.saga.failure import Redact
from sagalog.saga.messages.participants import ParticipantDefinition, check_together
from sagalog.saga.messages.vocabulary import Vocabulary


class Declared:
    """All that is declared for one process manager; raises `DefinitionError` if it does not fit together.

    `sagas` are the definitions of sagas and of choreographies.
    """

    def __init__(self, sagas: Sequence[Definition], participants: Sequence[ParticipantDefinition]) -> None:
        check_together(participants)
        _check_names(sagas)
        check_children(sagas)
        self.sagas = sagas
        self.participants = participants
        self.vocabulary = Vocabulary(self._messages(), refusals_of(sagas))

    def _messages(self) -> Iterator[tuple[str, type[Message]]]:
        for saga in self.sagas:
            where = f"saga {saga.name}"
            for kind in messages_of(saga):
                yield where, kind
        for participant in self.participants:
            where = f"participant {participant.name}"
            for handlers in participant.handlers.values():
                for handler in handlers:
                    if issubclass(handler.message, Message):
                        yield where, handler.message
                    for output in handler.outputs:
                        yield where, output

    def taking_messages(self) -> Iterator[list[Definition]]:
        """Yield a list for each saga or choreography that takes messages: its loaded versions."""
        versions: dict[str, list[Definition]] = {}
        for one in self.sagas:
            if takes_messages(one):
                versions.setdefault(one.name, []).append(one)
        yield from versions.values()

    @property
    def parameters(self) -> list[tuple[str, Parameter]]:
        """Return every parameter of a step, compensation or handler, each after its place, such as `order.pay`."""
        return list(self._parameters())

    def _parameters(self) -> Iterator[tuple[str, Parameter]]:
        for definition in self.sagas:
            for step in definition.steps.values():
                undo = () if step.compensation is None else step.compensation.parameters
                for parameter in (*step.parameters, *undo):
                    yield f"{definition.name}.{step.name}", parameter
        for participant in self.participants:
            for handlers in participant.handlers.values():
                for handler in handlers:
                    for parameter in handler.parameters:
                        yield f"{participant.name}.{handler.name}", parameter


def by_digest(sagas: Sequence[Saga[Any] | Choreography], redact: Redact | None) -> dict[str, Definition]:
    """Return the definitions by digest, each with `redact` set.

    Raises `DefinitionError` if two share a name and a version.
    """
    found: dict[str, Definition] = {}
    names: set[tuple[str, int]] = set()
    for saga in sagas:
        definition = saga.definition
        if (saga.name, saga.version) in names:
            raise DefinitionError(f"two sagas are {saga.name} version {saga.version}; give one a new version")
        names.add((saga.name, saga.version))
        found[definition.digest] = definition if redact is None else replace(definition, redact=redact)
    return found


def _check_names(definitions: Sequence[Definition]) -> None:
    """Raise `DefinitionError` if a saga and a choreography share a name: nobody could tell their rows apart."""
    sagas = {one.name for one in definitions if not isinstance(one, ChoreographyDefinition)}
    for one in definitions:
        if isinstance(one, ChoreographyDefinition) and one.name in sagas:
            raise DefinitionError(f"a saga and a choreography are called {one.name}; give one of them another name")


def takes_messages(definition: Definition) -> bool:
    """Tell whether messages start sagas of this definition, cancel them, or can reach them later."""
    return (
        isinstance(definition, ChoreographyDefinition)
        or bool(definition.starts)
        or bool(definition.cancels)
        or any(step.kind not in ("call", "child") for step in definition.steps.values())
    )


def check_children(sagas: Sequence[Definition]) -> None:
    """Raise `DefinitionError` that names every child saga that is missing among `sagas`."""
    known = {saga.digest for saga in sagas}
    missing = [
        f"  - {saga.name}.{step.name}: saga {step.child.definition.name} version {step.child.definition.version}"
        for saga in sagas
        for step in saga.steps.values()
        if step.child is not None and step.child.definition.digest not in known
    ]
    if missing:
        listed = "\n".join(missing)
        raise DefinitionError(f"these steps are sagas that nobody here would run:\n{listed}\nadd them to sagas=[...]")


def messages_of(definition: Definition) -> Iterator[type[Message]]:
    """Yield every class of message that a saga sends or takes, or that a choreography follows."""
    if isinstance(definition, ChoreographyDefinition):
        for payload in definition.contract.events.values():
            yield payload.kind
    rules: list[StartRule | CancelRule] = [*definition.starts.values(), *definition.cancels.values()]
    for rule in rules:
        yield rule.event.kind
    for step in definition.steps.values():
        if step.wait is not None:
            yield step.wait.event.kind
        undo = None if step.compensation is None else step.compensation.exchange
        for exchange in (step.exchange, undo):
            if exchange is not None:
                yield from exchange.commands
                if exchange.success is not None:
                    yield exchange.success.kind


def refusals_of(definitions: Sequence[Definition]) -> Iterator[str]:
    """Yield the names of the events that refuse a command; a saga does not need their classes."""
    for definition in definitions:
        for step in definition.steps.values():
            undo = None if step.compensation is None else step.compensation.exchange
            for exchange in (step.exchange, undo):
                if exchange is not None:
                    yield from exchange.refusals
