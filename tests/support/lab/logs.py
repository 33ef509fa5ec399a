"""The logs of simulations, as one log that another store can be given, piece by piece."""

import random
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec
from lab.message_scenarios import messages_at_random
from lab.operating import operated_at_random
from lab.scenarios import Scenario, at_random, collecting_rarely
from msgspec import Struct
from msgspec.structs import replace

from sagalog.messages import Envelope
from sagalog.store import Append, Posting, StatusRow, Store, StoredEvent
from sagalog.store.published import PUBLISHED

# Other worlds than those of plain steps, for the ids that a world gives are those of its seed.
MESSAGES_FROM = 1_000_000


class Entry(Struct, frozen=True):
    """An entry of the log, and the row of its saga; `number` is that of its simulation."""

    number: int
    stored: StoredEvent
    status: StatusRow | None


def simulated(seeds: range, of_messages: int) -> list[list[Entry]]:
    """Return the log of each of these simulations, and of so many of messages; whatever went wrong in them."""
    # People act on the sagas of every second one.
    acted_on = [operated_at_random(seed)[0] if seed % 2 else at_random(seed) for seed in seeds]
    scenarios = [*acted_on, *(messages_at_random(MESSAGES_FROM + one) for one in seeds[:of_messages])]
    with collecting_rarely():
        return [_log_of(number, scenario) for number, scenario in enumerate(scenarios)]


def _log_of(number: int, scenario: Scenario) -> list[Entry]:
    findings = scenario.findings()
    assert not findings, findings
    store = scenario.simulation.world.store
    rows = {row.saga_id: row for row in store.rows()}
    return [Entry(number, one, rows.get(one.saga_id)) for one in store.read_log(0, 1_000_000)]


def mixed(logs: Sequence[Sequence[Entry]], seeded: random.Random, at_once: int) -> Iterator[Entry]:
    """Yield the entries of all logs, those of each in their order and `at_once` of them side by side."""
    waiting = [deque(log) for log in seeded.sample(logs, len(logs))]
    while waiting:
        log = seeded.choice(waiting[:at_once])
        yield log.popleft()
        if not log:
            waiting.remove(log)


def give(store: Store, entries: Sequence[Entry]) -> None:
    """Write entries to a store; what two simulations call by one name has two names there.

    Neighbours of different sagas are written together. The order of each simulation is kept.
    """
    together: dict[str, Append] = {}
    for entry in entries:
        stored, status = entry.stored, entry.status
        if stored.topic == PUBLISHED or stored.saga_id in together:
            _write(store, together)
        if stored.topic == PUBLISHED:
            envelope = msgspec.json.decode(stored.state, type=Envelope)
            posting = Posting([replace(envelope, id=f"{entry.number} {envelope.id}")])
            assert store.post([posting]) == ["written"]
            continue
        assert status is not None
        row = replace(status, saga_key=f"{entry.number} {status.saga_key}", version=stored.version, owner=None)
        event = (stored.topic, stored.state)
        together[stored.saga_id] = Append(stored.saga_id, stored.version - 1, [event], row, (), None)
    _write(store, together)


def _write(store: Store, together: dict[str, Append]) -> None:
    assert set(store.append(list(together.values())) if together else []) <= {"written"}
    together.clear()
