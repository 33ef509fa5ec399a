"""Which saga an event is for: the rules for the sagas of one name, as questions and answers. Pure, no look-ups.

For each event, in this order:

1. A command of a saga of this name caused it: it is for that saga.
2. It starts sagas: it starts a new one, unless the newest run of its key is open, or has ended and may not run again.
   Then it is for that run, which records it.
3. A step waits for such events: it is for the newest run of its key; without one, it is parked.
4. It cancels sagas: it is for the newest run of its key; without one, it is parked, or begins one that has ended.
5. It is only ever a reply. If its cause is unknown, it is parked. If its cause is known and is something else, it is
   ignored here. Without a cause it is for the one open saga with its correlation id, or parked.

If a user function raises, or the event cannot be read, it is parked with the reason. Any other event is ignored here.

`ask` makes the questions of a batch, `wanted` says what to look up for all of them at once, `answer` decides each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Raw, Struct

from sagalog.errors import InvalidIdentifier
from sagalog.messages import Envelope
from sagalog.saga.attributes import Recorded, checked
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import CancelRule, Definition, Exchange, StartRule, WaitRule
from sagalog.saga.events import EMPTY
from sagalog.saga.failure import Redact, described, let_interrupts_through, storable
from sagalog.saga.identifiers import check_identifier, check_recorded
from sagalog.saga.inputs import Start
from sagalog.saga.transitions import ENDED

QuestionKind = Literal["start", "wait", "cancel", "reply", "caused"]


class Question(Struct, frozen=True):
    """An event that may be for a saga: the rule that applies, and the key and input found in the event.

    Kind "caused": it is for a saga only if one of its commands caused it. `problem`: why no key or input was found.
    `attributes` are those that the input brings.
    """

    message: Envelope
    kind: QuestionKind
    key: str | None = None
    input: Raw | None = None
    problem: str | None = None
    attributes: Recorded = {}


class Wanted(Struct, frozen=True):
    """What has to be looked up.

    `commands`: ids that may be commands of sagas, to find those sagas. `origins`: ids among them that may be other
    messages in the log. `keys` and `correlation_ids`: find the sagas of this name that have them.
    """

    commands: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    correlation_ids: tuple[str, ...] = ()


class KnownSaga(Struct, frozen=True):
    """What must be known of an existing saga; `cause` is the id of the message that started it."""

    saga_id: str
    saga_name: str
    status: str
    run: int = 1
    cause: str | None = None


class Facts(Struct, frozen=True):
    """The results of the look-up: sagas by command id, by key (newest run), and by correlation id; known message ids.

    Sagas that a batch starts are added to `keys` at once, because later events of the batch may be for them.
    """

    commands: Mapping[str, KnownSaga] = {}
    origins: frozenset[str] = frozenset()
    keys: Mapping[str, KnownSaga] = {}
    correlated: Mapping[str, Sequence[KnownSaga]] = {}


class Begin(Struct, frozen=True):
    """The decision to start a saga."""

    definition: Definition
    start: Start


class Deliver(Struct, frozen=True):
    """The decision to deliver the event to this saga."""

    saga_id: str


class Park(Struct, frozen=True):
    """The decision to park the event, with the reason."""

    reason: str


Destination = Begin | Deliver | Park | None


class SagaRouting:
    """The rules of all loaded versions of one saga; the newest version decides what starts it."""

    def __init__(self, definitions: Sequence[Definition]) -> None:
        versions = sorted(definitions, key=lambda one: one.version)
        self._newest = versions[-1]
        self.name = self._newest.name
        self._starts = self._newest.starts
        # A newer version replaces an older one's rule. Open sagas still wait for events that only an older one has.
        self._waits: dict[str, WaitRule] = {}
        self._cancels: dict[str, CancelRule] = {}
        self._replies: set[str] = set()
        self._asks = False
        for version in versions:
            self._cancels |= version.cancels
        for step in (step for version in versions for step in version.steps.values()):
            if step.wait is not None:
                self._waits[step.wait.name] = step.wait
            undo = None if step.compensation is None else step.compensation.exchange
            for exchange in (step.exchange, undo):
                if exchange is not None:
                    self._asks = True
                    self._replies |= _names(exchange)

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the events that it handles whatever caused them."""
        return frozenset({*self._starts, *self._waits, *self._cancels, *self._replies})

    def ask(self, messages: Iterable[Envelope]) -> list[Question]:
        """Return a question for each message that may be for a saga of this name, in their order."""
        return [found for message in messages if message.kind == "event" and (found := self._question(message))]

    def _question(self, message: Envelope) -> Question | None:
        start = self._starts.get(message.name)
        if start is not None:
            return self._start_question(message, start)
        wait = self._waits.get(message.name)
        if wait is not None:
            return self._found_by_key(message, wait, "wait")
        cancel = self._cancels.get(message.name)
        if cancel is not None:
            return self._found_by_key(message, cancel, "cancel")
        if message.name in self._replies:
            return Question(message, "reply")
        return Question(message, "caused") if self._asks and message.causation_id is not None else None

    def _start_question(self, message: Envelope, rule: StartRule) -> Question:
        what = self._not_started_by(message)
        try:
            event = rule.event.take(message.data)
            given = plain_answer(rule.input(event), "input=")
            key = _key(rule.key, event) if rule.key is not None else _key(self._newest.key, given)
            data = self._newest.input.write(given, f"the input of saga {self.name}")
            attributes = self._attributes(given)
        except BaseException as problem:
            return Question(message, "start", problem=why(what, problem, self._newest.redact))
        return Question(message, "start", key, data, attributes=attributes)

    def _attributes(self, given: Any) -> Recorded:
        find = self._newest.attributes
        return {} if find is None else checked(plain_answer(find(given), "attributes="))

    def _found_by_key(self, message: Envelope, rule: WaitRule | CancelRule, kind: QuestionKind) -> Question:
        what = f"the key of saga {self.name} could not be found in {message.name}"
        try:
            return Question(message, kind, _key(rule.key, rule.event.take(message.data)))
        except BaseException as problem:
            return Question(message, kind, problem=why(what, problem, self._newest.redact))

    def wanted(self, questions: Iterable[Question]) -> Wanted:
        """Return what has to be looked up to answer all of these."""
        commands: dict[str, None] = {}
        origins: dict[str, None] = {}
        keys: dict[str, None] = {}
        correlation_ids: dict[str, None] = {}
        for question in questions:
            cause = question.message.causation_id
            if cause is not None and self._asks:
                commands[cause] = None
            if question.key is not None:
                keys[question.key] = None
            if question.kind == "reply":
                if cause is None:
                    correlation_ids[question.message.correlation_id] = None
                else:
                    origins[cause] = None
        return Wanted(tuple(commands), tuple(origins), tuple(keys), tuple(correlation_ids))

    def answer(self, question: Question, facts: Facts) -> Destination:
        """Return what to do with an event."""
        message = question.message
        issuer = None if message.causation_id is None else facts.commands.get(message.causation_id)
        if issuer is not None and issuer.saga_name == self.name:
            return Deliver(issuer.saga_id)
        if question.problem is not None:
            return Park(question.problem)
        if question.kind == "start":
            return self._start(question, facts)
        if question.kind in ("wait", "cancel"):
            known = facts.keys.get(question.key or "")
            if known is not None:
                return Deliver(known.saga_id)
            if question.kind == "cancel" and self._cancels[message.name].prevents:
                return self._prevented(question)
            return Park(f"no saga {self.name} has the key {question.key!r}, which {message.name} is for")
        if question.kind == "caused" or issuer is not None:
            return None
        return self._reply(message, facts)

    def _not_started_by(self, message: Envelope) -> str:
        return f"saga {self.name} could not be started by {message.name}"

    def _start(self, question: Question, facts: Facts) -> Destination:
        message = question.message
        assert question.key is not None
        assert question.input is not None
        before = facts.keys.get(question.key)
        run = 1
        if before is None:
            # Only the key of a new saga must follow today's rules for keys.
            try:
                check_identifier(question.key, "the key")
            except InvalidIdentifier as problem:
                return Park(why(self._not_started_by(message), problem, self._newest.redact))
        else:
            # The event that started this run starts no second one, however often it is delivered.
            if before.status not in ENDED or not self._newest.reruns or before.cause == message.id:
                return Deliver(before.saga_id)
            run = before.run + 1
        start = Start(
            question.key,
            question.input,
            run,
            message.correlation_id,
            message.id,
            message.id,
            attributes=question.attributes,
        )
        return Begin(self._newest, start)

    def _prevented(self, question: Question) -> Destination:
        """Return a start that has ended already, so that nobody can start a saga with this key any more."""
        message = question.message
        assert question.key is not None
        try:
            key = check_identifier(question.key, "the key")
        except InvalidIdentifier as problem:
            return Park(why(f"saga {self.name} could not be prevented", problem, self._newest.redact))
        off = Start(key, EMPTY, 1, message.correlation_id, message.id, message.id, called_off=True)
        return Begin(self._newest, off)

    def _reply(self, message: Envelope, facts: Facts) -> Destination:
        cause = message.causation_id
        if cause is not None:
            if cause in facts.origins:
                return None
            return Park(f"{message.name} answers {cause}, and nobody knows of a command or an event with that id")
        found = facts.correlated.get(message.correlation_id, ())
        open_sagas = [saga for saga in found if saga.saga_name == self.name and saga.status not in ENDED]
        if len(open_sagas) == 1:
            return Deliver(open_sagas[0].saga_id)
        number = "no open saga has" if not open_sagas else f"{len(open_sagas)} open sagas have"
        return Park(
            f"{message.name} does not say what caused it, and {number} its correlation id "
            f"{message.correlation_id!r} (saga {self.name})"
        )


def _names(exchange: Exchange) -> set[str]:
    return {*exchange.refusals, *(() if exchange.success_name is None else (exchange.success_name,))}


def _key(find: Callable[[Any], str] | None, given: Any) -> str:
    assert find is not None
    return check_recorded(plain_answer(find(given), "key="), "the key")


def why(what: str, problem: BaseException, redact: Redact | None) -> str:
    """Return why a user function failed on an event; raises interrupts that must end the process."""
    let_interrupts_through(problem)
    return storable(f"{what}: {described(problem, redact)}")
