"""All that one process manager was given: sagas, choreographies, participants, checked together. It runs nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sagalog.engine.bus.choreography_routes import ChoreographyRoutes
from sagalog.engine.bus.participant_routes import ParticipantRoutes
from sagalog.engine.bus.route_batch import Routes
from sagalog.engine.bus.saga_routes import SagaRoutes
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import DefinitionError, ServiceNotProvided
from sagalog.messages import Message
from sagalog.process_manager.given import check_kinds
from sagalog.saga.binding import Parameter
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.declare import Saga
from sagalog.saga.definition import Definition
from sagalog.saga.failure import Redact
from sagalog.saga.messages.participants import ParticipantDefinition, check_together
from sagalog.saga.messages.vocabulary import Vocabulary


class Declared:
    """Check what was declared as a whole; raises `DefinitionError` for what does not fit together."""

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
                    yield where, handler.message
                    for output in handler.outputs:
                        yield where, output

    @property
    def has_mail(self) -> bool:
        """Tell whether a saga of this process may get messages."""
        return any(takes_messages(one) or one.has_children for one in self.sagas)

    def routes(self, surroundings: Surroundings) -> list[Routes]:
        """Return what each consumer makes of messages."""
        versions: dict[str, list[Definition]] = {}
        for one in self.sagas:
            if takes_messages(one):
                versions.setdefault(one.name, []).append(one)
        return [
            *(_routes_of(group, surroundings) for group in versions.values()),
            *(ParticipantRoutes(participant, surroundings.clock) for participant in self.participants),
        ]

    def check_services(self, services: Mapping[type, Any]) -> None:
        """Raise `ServiceNotProvided` naming every parameter that nothing provides, or something of another type."""
        missing = [
            f"  - {where}: {parameter.name}: {parameter.key.__name__}"
            for where, parameter in self._parameters()
            if parameter.source == "service" and parameter.key not in services
        ]
        if missing:
            listed = "\n".join(dict.fromkeys(missing))
            given = ", ".join(kind.__name__ for kind in services) or "none"
            raise ServiceNotProvided(
                f"these parameters have a type that nothing provides (services given: {given}):\n{listed}\n"
                "give an instance in services={Type: instance}, or mend the annotation"
            )
        check_kinds(services, self._parameters())

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


def _routes_of(versions: Sequence[Definition], surroundings: Surroundings) -> SagaRoutes | ChoreographyRoutes:
    """Return what all loaded versions of one saga, or of one choreography, make of messages."""
    followed = [one for one in versions if isinstance(one, ChoreographyDefinition)]
    if followed:
        return ChoreographyRoutes(followed, surroundings)
    return SagaRoutes(versions, surroundings)


def by_digest(sagas: Sequence[Saga[Any] | Choreography], redact: Redact | None) -> dict[str, Definition]:
    """Return the definitions by digest, each with what redacts here.

    Raises `DefinitionError` if two have one name and version.
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
    """Raise `DefinitionError` for a saga and a choreography of one name: nobody could tell their rows apart."""
    sagas = {one.name for one in definitions if not isinstance(one, ChoreographyDefinition)}
    for one in definitions:
        if isinstance(one, ChoreographyDefinition) and one.name in sagas:
            raise DefinitionError(f"a saga and a choreography are called {one.name}; give one of them another name")


def takes_messages(definition: Definition) -> bool:
    """Tell whether sagas of a definition are started by messages, or ever get any."""
    return (
        isinstance(definition, ChoreographyDefinition)
        or bool(definition.starts)
        or any(step.kind not in ("call", "child") for step in definition.steps.values())
    )


def check_children(sagas: Sequence[Definition]) -> None:
    """Raise `DefinitionError` naming every child that is none of the sagas that the process manager was given."""
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
    for rule in definition.starts.values():
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
    """Yield the names of the events that refuse a command; which classes they have does not matter to a saga."""
    for definition in definitions:
        for step in definition.steps.values():
            undo = None if step.compensation is None else step.compensation.exchange
            for exchange in (step.exchange, undo):
                if exchange is not None:
                    yield from exchange.refusals
