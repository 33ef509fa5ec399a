"""How a choreography is declared: `Choreography`, a contract over what participants publish. Nothing is run here."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

import msgspec
from msgspec.json import encode

from sagalog.errors import DefinitionError, InvalidIdentifier
from sagalog.messages import Event, name_of
from sagalog.saga.attributes import Attributes
from sagalog.saga.callables import question_mistake
from sagalog.saga.choreography.check import Ways, failing_events, reached_from
from sagalog.saga.choreography.contract import Contract, Reaction
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Steps
from sagalog.saga.durations import Duration
from sagalog.saga.identifiers import as_text, check_identifier
from sagalog.saga.messages.handlers import GENERAL
from sagalog.saga.messages.participants import Participant
from sagalog.saga.options import flag, listed, microseconds, several, shown, version_mistake
from sagalog.saga.payload.payload_type import PayloadType

EventT = TypeVar("EventT", bound=Event)
EventTypes = type[Event] | Sequence[type[Event]]

DEFAULT_TIMEOUT = timedelta(days=1)


class Choreography:
    """A process without a coordinator: participants react to events and publish events. This is their contract.

    `key` is the name of a field that each event of the process has. `compensates` maps each effect to the event that
    undoes it, or to None if there is nothing to undo. After an event of `stuck_with` only a person can go on.
    `from_outside` maps events that no participant publishes to the events that they may follow. `ignores` are events of
    the participants that are no part of this process. `timeout` (seconds or timedelta; None: never) is for the whole
    process. `observed=True`: the participants are not known here, and the process is only followed. Most checks are
    made later, when it is given to a process manager or its `definition` is read.
    """

    def __init__(
        self,
        name: str,
        *,
        key: str,
        starts_with: EventTypes,
        completes_with: EventTypes,
        fails_with: EventTypes = (),
        compensates: Mapping[type[Event], type[Event] | None] | None = None,
        participants: Sequence[Participant] = (),
        stuck_with: EventTypes = (),
        from_outside: Mapping[type[Event], EventTypes] | None = None,
        ignores: EventTypes = (),
        timeout: Duration | None = DEFAULT_TIMEOUT,
        version: int = 1,
        observed: bool = False,
    ) -> None:
        self.name: str = as_text(name)
        self.version = version
        what = f"choreography {name}"
        self.participants = tuple(several(participants, Participant, "participants"))
        self._key: str = as_text(key)
        self._observed = flag(observed, "observed", what)
        self._timeout = microseconds(timeout, what)
        self._compensates: dict[Any, Any] = _mapped(compensates, "compensates", what)
        outside: dict[Any, Any] = _mapped(from_outside, "from_outside", what)
        self._roles = {
            "starts_with": _listed(starts_with),
            "completes_with": _listed(completes_with),
            "fails_with": _listed(fails_with),
            "stuck_with": _listed(stuck_with),
            "from_outside": _listed(tuple(outside)),
            "ignores": _listed(ignores),
        }
        self._follows = {kind: _listed(after) for kind, after in outside.items()}
        self._attributes: dict[Any, Callable[[Any], Attributes]] = {}
        self._definition: ChoreographyDefinition | None = None

    def __repr__(self) -> str:
        return f"<Choreography {self.name} version {self.version}>"

    def attributes_from(self, event: type[EventT], find: Callable[[EventT], Attributes]) -> None:
        """Declare that an event of the process brings attributes, by which the process is found.

        `find` returns them from the event; they are added, or replace those of the same name. Raises `DefinitionError`
        after the choreography was given to a process manager.
        """
        if self._definition is not None:
            raise DefinitionError(
                f"choreography {self.name}: its attributes are declared after it was given to a process manager; "
                "declare them first"
            )
        self._attributes[event] = find

    @property
    def definition(self) -> ChoreographyDefinition:
        """Return the checked definition; raises `DefinitionError` with every mistake found."""
        if self._definition is None:
            self._definition = self._build()
        return self._definition

    def _build(self) -> ChoreographyDefinition:
        mistakes = list(self._mistakes_of_events_named())
        mistakes = [*self._mistakes_of_names(), *mistakes, *(() if mistakes else self._mistakes_of_roles())]
        if mistakes:
            raise self._wrong(mistakes)
        contract, mistakes = self._contract()
        mistakes += [*self._mistakes_of_events(contract), *self._mistakes_of_attributes(contract)]
        if not mistakes and not self._observed:
            mistakes = Ways(contract).mistakes()
        if mistakes:
            raise self._wrong(mistakes)
        return ChoreographyDefinition(
            name=self.name,
            version=self.version,
            digest=_digest(self.name, self.version, contract),
            input=PayloadType(type(None)),
            timeout=self._timeout,
            stages=(),
            stage_after=(0,),
            steps=Steps(),
            pivot=None,
            has_questions=False,
            key=None,
            reruns=True,
            starts={},
            waits={},
            plain=False,
            contract=contract,
            attributed=bool(self._attributes),
            attributes_of={name_of(kind): find for kind, find in self._attributes.items()},
        )

    def _wrong(self, mistakes: Sequence[str]) -> DefinitionError:
        listed = "\n".join(f"  - {text}" for text in dict.fromkeys(mistakes))
        return DefinitionError(f"choreography {self.name!r} is declared wrongly:\n{listed}")

    def _names(self, role: str) -> tuple[str, ...]:
        return tuple(name_of(kind) for kind in self._roles[role])

    def _kinds(self) -> Iterator[tuple[str, Any]]:
        """Yield every given type, with the option that it was given by."""
        for role, kinds in self._roles.items():
            for kind in kinds:
                yield role, kind
        for after in self._follows.values():
            for kind in after:
                yield "from_outside", kind
        for effect, undo in self._compensates.items():
            yield "compensates", effect
            if undo is not None:
                yield "compensates", undo

    def _mistakes_of_names(self) -> Iterator[str]:
        try:
            check_identifier(self.name, "its name", 200)
        except InvalidIdentifier as problem:
            yield str(problem)
        if (wrong := version_mistake(self.version)) is not None:
            yield wrong
        if not isinstance(cast(object, self._key), str):
            yield f"key= takes the name of the field that every one of its events has, found {shown(self._key)}"
        for role in ("starts_with", "completes_with"):
            if not self._roles[role]:
                yield f"{role} names no event; without it nobody knows when the process {role.removesuffix('_with')}"
        if self._observed and self.participants:
            yield "observed=True says that its participants are not known here; leave them out, or leave it out"
        if not self._observed and not self.participants:
            yield "it has no participants; name those that react, or say observed=True to follow a bus from outside"

    def _mistakes_of_events_named(self) -> Iterator[str]:
        """Yield mistakes for types that are no events."""
        for role, kind in self._kinds():
            if not (isinstance(kind, type) and issubclass(kind, Event)) or kind in GENERAL:
                named = kind.__name__ if isinstance(kind, type) else shown(kind)
                yield f"{role} takes events, and {named} is none; subclass Event"

    def _mistakes_of_roles(self) -> Iterator[str]:
        """Yield mistakes for events that have two contradictory roles."""
        undoing = [undo for undo in self._compensates.values() if undo is not None]
        ends = {
            **dict.fromkeys(self._roles["starts_with"], "starts it"),
            **dict.fromkeys(self._roles["completes_with"], "completes it"),
            **dict.fromkeys(self._compensates, "is an effect"),
            **dict.fromkeys(self._roles["stuck_with"], "leaves it stuck"),
        }
        for role, word in (
            ("starts_with", "starts it"),
            ("completes_with", "completes it"),
            ("stuck_with", "leaves it stuck"),
        ):
            for kind in self._roles[role]:
                if ends[kind] != word:
                    yield f"{name_of(kind)} {word} and {ends[kind]}; it can say one thing only"
        for word, kinds in (("fails it", self._roles["fails_with"]), ("undoes an effect", undoing)):
            for kind in kinds:
                if kind in ends:
                    yield f"{name_of(kind)} {word} and {ends[kind]}; it can say one thing only"
        for kind in self._roles["ignores"]:
            if kind in ends or kind in undoing or kind in self._roles["fails_with"]:
                yield f"{name_of(kind)} is ignored and yet has a part in the process; it can only be one of them"

    def _contract(self) -> tuple[Contract, list[str]]:
        """Return the contract, and the mistakes in the participants' part of it."""
        mistakes: list[str] = []
        ignored = set(self._names("ignores"))
        kinds: dict[str, Any] = {name_of(kind): kind for _, kind in self._kinds() if name_of(kind) not in ignored}
        reactions: list[Reaction] = []
        for participant in self.participants:
            for name, handlers in participant.definition.handlers.items():
                for handler in handlers:
                    if handler.payload is None or handler.kind == "command" or name in ignored:
                        continue
                    ways = tuple(
                        tuple(name_of(kind) for kind in way if name_of(kind) not in ignored) for way in handler.ways
                    )
                    reactions.append(Reaction(participant.name, handler.name, name, tuple(dict.fromkeys(ways))))
                    for kind in (handler.payload.kind, *handler.outputs):
                        if name_of(kind) not in ignored and kinds.setdefault(name_of(kind), kind) is not kind:
                            mistakes.append(
                                f"two types of events travel under the name {name_of(kind)}; give one another NAME"
                            )
        starts, completes, fails = self._names("starts_with"), self._names("completes_with"), self._names("fails_with")
        for kind, after in self._follows.items():
            reactions += [Reaction("", "", name_of(one), ((name_of(kind),),)) for one in after]
        order = {name: place for place, name in enumerate(dict.fromkeys([*reached_from(starts, reactions), *kinds]))}
        compensations = {
            name_of(effect): None if undo is None else name_of(undo) for effect, undo in self._compensates.items()
        }
        undoing = [undo for undo in compensations.values() if undo is not None]
        doomed = failing_events(list(order), completes, fails, reactions)
        contract = Contract(
            key=self._key,
            events={name: payload for name in order if (payload := self._payload(kinds[name], mistakes)) is not None},
            starts=starts,
            completes=completes,
            fails=fails,
            compensations=compensations,
            stuck_with=self._names("stuck_with"),
            from_outside=self._names("from_outside"),
            failing=tuple(dict.fromkeys([*doomed, *fails, *undoing])),
            order=order,
            reactions=tuple(reactions),
        )
        return contract, mistakes

    def _payload(self, kind: Any, mistakes: list[str]) -> PayloadType | None:
        if self._key not in {field.name for field in msgspec.structs.fields(kind)}:
            mistakes.append(
                f"{kind.__name__} has no field {self._key}, which is the key of every event of this process; add it, "
                "or say ignores= if it is no part of it"
            )
        try:
            return PayloadType(kind)
        except Exception as problem:
            mistakes.append(f"{kind.__name__} cannot be stored as JSON ({problem})")
            return None

    def _mistakes_of_attributes(self, contract: Contract) -> Iterator[str]:
        for kind, find in self._attributes.items():
            if not (isinstance(kind, type) and issubclass(kind, Event)) or name_of(kind) not in contract.events:
                named = kind.__name__ if isinstance(kind, type) else shown(kind)
                yield f"attributes_from takes an event of the process, and {named} is none"
            elif (wrong := question_mistake(find, "the event", kind)) is not None:
                yield f"attributes_from {name_of(kind)} {wrong}"

    def _mistakes_of_events(self, contract: Contract) -> Iterator[str]:
        """Yield mistakes for events that nobody publishes, or that nobody handles."""
        for name in filter(contract.is_effect, contract.events):
            first, _, number = name.rpartition(":")
            if contract.is_effect(first) and number.isdecimal():
                yield f"the event {name} has the name that a later {first} is known by; give it another NAME"
        if self._observed:
            return
        reached = reached_from(contract.starts, contract.reactions)
        ends = (*contract.completes, *contract.fails, *contract.stuck_with)
        undoing = [undo for undo in contract.compensations.values() if undo is not None]
        for name in dict.fromkeys((*ends, *contract.compensations, *undoing, *contract.from_outside)):
            if name not in reached:
                starts = " or ".join(contract.starts)
                text = f"nobody publishes {name}: no reaction that can follow from {starts} answers with it"
                yield f"{text}; name it in from_outside if others publish it"
        for one in contract.reactions:
            if one.event not in reached and one.handler:
                text = f"{one.participant}.{one.handler} is never reached: nobody publishes {one.event}"
                yield f"{text}; name it in from_outside if others do, or in ignores if it is no part of this process"
        taken = {one.event for one in contract.reactions} | {*ends, *undoing, *contract.compensations}
        for name in reached:
            if name not in taken:
                text = f"nobody reacts to {name}, and it is no end"
                yield f"{text}; react to it, or name it in completes_with, fails_with, stuck_with or ignores"


def _listed(kinds: EventTypes) -> tuple[Any, ...]:
    given = None if isinstance(kinds, type) else listed(kinds)
    given = [kinds] if given is None else given
    return tuple(one for number, one in enumerate(given) if one not in given[:number])


def _mapped(given: object, option: str, what: str) -> dict[Any, Any]:
    """Return a mapping of events to events as a dict; raises `DefinitionError` for anything else."""
    if given is not None and not isinstance(given, Mapping):
        raise DefinitionError(f"{what}: expected {{Event: Event}} for {option}=, found {shown(given)}")
    return dict(cast("Mapping[object, object]", given or {}))


def _digest(name: str, version: int, contract: Contract) -> str:
    """Hash what a running process depends on: the role of each event."""
    roles = [contract.key, contract.starts, contract.completes, contract.fails, contract.stuck_with]
    said = [*roles, contract.from_outside, contract.failing, contract.compensations, list(contract.events)]
    return hashlib.sha256(encode(["choreography", name, version, said])).hexdigest()[:16]
