"""Which process of a choreography an event is for: the rules for the choreographies of one name. Pure, no look-ups.

An event of the contract is, in this order:

1. for the process with its correlation id and its key;
2. if it starts no process: for the newest process with its key, ended or not, because its publisher may not have known
   the correlation id;
3. for a new process, whichever event it is.

An event whose key cannot be read is parked with the reason. Any other event is ignored here.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from sagalog.errors import InvalidIdentifier
from sagalog.messages import Envelope
from sagalog.saga.choreography.contract import Contract
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.events import EMPTY
from sagalog.saga.failure import let_interrupts_through, named, storable
from sagalog.saga.identifiers import check_identifier
from sagalog.saga.inputs import Start
from sagalog.saga.messages.route import Begin, Deliver, KnownSaga, Park


class KeyedEvent(Struct, frozen=True):
    """An event of the contract with its key, or the reason why it has none."""

    message: Envelope
    key: str = ""
    problem: str | None = None


class KnownProcesses:
    """The known processes an event may be for: by correlation id and key, and the newest run of each key.

    Processes that a batch begins are added at once, because later events of the batch may be for them.
    """

    def __init__(self) -> None:
        self._correlated: dict[tuple[str, str], KnownSaga] = {}
        self._newest: dict[str, KnownSaga] = {}

    def add(self, correlation_id: str, key: str, found: KnownSaga) -> None:
        """Add a process; of several with one key, or one correlation id and key, the newest run is kept."""
        newest, same = self._newest.get(key), self._correlated.get((correlation_id, key))
        if newest is None or newest.run <= found.run:
            self._newest[key] = found
        if same is None or same.run <= found.run:
            self._correlated[correlation_id, key] = found

    def correlated(self, correlation_id: str, key: str) -> KnownSaga | None:
        """Return the newest process with this correlation id and key."""
        return self._correlated.get((correlation_id, key))

    def newest(self, key: str) -> KnownSaga | None:
        """Return the newest process with this key."""
        return self._newest.get(key)


class ChoreographyRouting:
    """The rules of all loaded versions of one choreography; the newest version begins processes."""

    def __init__(self, definitions: Sequence[ChoreographyDefinition]) -> None:
        versions = sorted(definitions, key=lambda one: one.version)
        self._newest = versions[-1]
        self.name = self._newest.name
        # A newer version replaces an older one's events. Events that only an older one has are still for its processes.
        self._contracts: dict[str, Contract] = {}
        for version in versions:
            self._contracts.update(dict.fromkeys(version.contract.events, version.contract))

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the events that it follows."""
        return frozenset(self._contracts)

    def ask(self, messages: Iterable[Envelope]) -> list[KeyedEvent]:
        """Return those of the messages that belong to the contract, with their keys, in their order."""
        return [self._keyed(one) for one in messages if one.kind == "event" and one.name in self._contracts]

    def _keyed(self, message: Envelope) -> KeyedEvent:
        try:
            return KeyedEvent(message, self._contracts[message.name].key_of(message.name, message.data))
        except BaseException as problem:
            let_interrupts_through(problem)
            return KeyedEvent(message, problem=self._no_key(message, problem))

    def _no_key(self, message: Envelope, problem: BaseException) -> str:
        what = f"the key of choreography {self.name} could not be found in {message.name}"
        return storable(f"{what}: {named(problem, self._newest.redact)[1]}")

    def answer(self, event: KeyedEvent, known: KnownProcesses) -> Begin | Deliver | Park:
        """Return what to do with an event. An event that begins a process is also its first event."""
        message = event.message
        if event.problem is not None:
            return Park(event.problem)
        found = known.correlated(message.correlation_id, event.key)
        newest = known.newest(event.key)
        if found is None and message.name not in self._contracts[message.name].starts:
            found = newest
        if found is not None:
            return Deliver(found.saga_id)
        if newest is None:
            # Only the key of a new process must follow today's rules for keys.
            try:
                check_identifier(event.key, self._contracts[message.name].what_key_of(message.name))
            except InvalidIdentifier as problem:
                return Park(self._no_key(message, problem))
        run = 1 if newest is None else newest.run + 1
        return Begin(self._newest, Start(event.key, EMPTY, run, message.correlation_id, message.id))
