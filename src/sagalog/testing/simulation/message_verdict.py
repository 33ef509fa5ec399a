"""What must hold of every message once a simulation has come to rest; it reads the store and repairs nothing.

Each violation is a sentence with the number of its invariant.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from sagalog.codec import CODEC
from sagalog.engine.unmatched import digest_id
from sagalog.saga import events as e
from sagalog.saga.messages.route import SagaRouting
from sagalog.store import UnmatchedQuery
from sagalog.testing.simulation.run import Simulation

ALL = 1_000_000


def judge_messages(simulation: Simulation) -> list[str]:
    """Return everything that is wrong with the messages of a run; empty if every invariant holds."""
    return [
        *_log(simulation),
        *_nothing_passed_over(simulation),
        *_commands(simulation),
        *_consumers(simulation),
        *_unmatched(simulation),
    ]


def _log(simulation: Simulation) -> Iterator[str]:
    """Check invariants 5 and 7: a published message is in the log once, and each saga took it once."""
    store = simulation.world.store
    published = Counter(one.id for _, one in store.read_messages(0, ALL) if one.kind == "event")
    yield from (f"7: message {name} stands in the log {times} times" for name, times in published.items() if times > 1)
    acknowledged = set(simulation.published)
    if simulation.network is not None:
        network, carried = simulation.network, simulation.network.transport()
        acknowledged |= network.acknowledged
        wanted = {one.id for _, one in store.read_messages(0, ALL) if carried.carries(one)}
        yield from (f"5: command {command_id} was never sent" for command_id in wanted - network.accepted)
    yield from (f"5: message {name} was acknowledged and is lost" for name in acknowledged - set(published))
    for row in store.rows():
        taken: Counter[tuple[str, bool]] = Counter()
        for stored in store.read(row.saga_id):
            event = CODEC.decode(stored.topic, stored.state)
            message = _message_of(event)
            if message is not None:
                # An early message is first recorded as received, and moves the saga later.
                taken[message, isinstance(event, e.EventReceived) and event.kept] += 1
        yield from (f"7: {row.saga_key} took {name} {times} times" for (name, _), times in taken.items() if times > 1)


def _nothing_passed_over(simulation: Simulation) -> Iterator[str]:
    """Check invariant 4: each event that a saga has a rule for was taken by one, or is parked with a reason."""
    store = simulation.world.store
    messages = [one for _, one in store.read_messages(0, ALL)]
    rows = {row.message_id for row in store.unmatched(UnmatchedQuery(statuses=(), limit=ALL))}
    # A message without an id of its own in the database is parked under its digest.
    parked = {one.id for one in messages if not rows.isdisjoint((one.id, digest_id(one.id)))}
    taken = {
        _message_of(CODEC.decode(stored.topic, stored.state))
        for row in store.rows()
        for stored in store.read(row.saga_id)
    }
    handled = {name for saga in simulation.sagas for name in SagaRouting((saga.definition,)).names}
    replies = {command.command_id for row in store.rows() for command in store.commands_of(row.saga_id)}
    for one in messages:
        expected = one.kind == "event" and (one.name in handled or one.causation_id in replies)
        if expected and one.id not in taken and one.id not in parked:
            yield f"4: {one.name} ({one.id}) was passed over"
    answered = {one.causation_id for one in messages}
    here = {name for participant in simulation.participants for name in participant.definition.handlers}
    for one in messages:
        if one.kind == "command" and one.name in here and one.id not in answered | parked:
            yield f"7: {one.name} ({one.id}) was never answered"


def _message_of(event: e.SagaEvent) -> str | None:
    """Return the id of the message that a saga's event records; None if it records none."""
    found: str | None = getattr(event, "message", None)
    return found


def _commands(simulation: Simulation) -> Iterator[str]:
    """Check invariants 3, 5 and 6: each command is in the log with its saga's decision, and each id has one purpose."""
    store = simulation.world.store
    visible = {position: one for position, one in store.read_messages(0, ALL) if one.kind == "command"}
    purposes: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    sent = 0
    for row in store.rows():
        known = {command.command_id for command in store.commands_of(row.saga_id)}
        for stored in store.read(row.saga_id):
            event = CODEC.decode(stored.topic, stored.state)
            if not isinstance(event, e.RequestSent):
                continue
            sent += 1
            purposes[event.command_id].add((row.saga_id, event.step, event.direction))
            message = visible.get(stored.position)
            if message is None or message.id != event.command_id:
                yield f"5: {event.command_id} was decided and is not to be seen at {stored.position}"
            if event.command_id not in known:
                yield f"3: nobody could tell whose command {event.command_id} is"
    if sent != len(visible):
        yield f"5: {len(visible)} commands are to be seen, {sent} were decided"
    for command_id, those in purposes.items():
        if len(those) > 1:
            yield f"6: {command_id} was used for {sorted(those)}"


def _consumers(simulation: Simulation) -> Iterator[str]:
    """Check invariants 7, 36 and 43: each consumer has read to the end, and no message waits that could be taken."""
    store = simulation.world.store
    last = store.last_message()
    for consumer in store.consumers():
        if consumer.position < last:
            yield f"43: {consumer.consumer} stands at {consumer.position}, the last message at {last}"
    yield from (f"36: {row.recipient} has not taken {row.name} ({row.message_id})" for row in store.untaken())


def _unmatched(simulation: Simulation) -> Iterator[str]:
    """Check invariant 4: each unmatched message has a reason."""
    for row in simulation.world.store.unmatched(UnmatchedQuery(statuses=(), limit=ALL)):
        if not row.reason:
            yield f"4: {row.name} ({row.message_id}) is parked without a reason"
