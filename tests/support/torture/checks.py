"""What must hold after workers were killed at any moment: each check gives one sentence for each thing that does not.

The log is compared with what is written beside it, with the ledgers of the services, and with the journals of every
process that was killed or not. Nothing here knows how the library comes to its answers, but for the kernel's own folds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec.structs import replace
from torture.journals import DEFINITIONS, Journals
from torture.snapshot import AT_REST, Snapshot, canonical

from domain.database import Database
from domain.inventory.service import Inventory
from domain.payments.service import Payments
from domain.reconciliation import reconcile
from domain.shipping.service import Carrier
from sagalog.codec import CODEC
from sagalog.errors import SagalogError
from sagalog.readmodel.rows import status_row, step_rows
from sagalog.saga.evolve import fold
from sagalog.saga.state import SagaState
from sagalog.store import StepRow, StoredEvent


def state_of(events: Iterable[StoredEvent]) -> SagaState:
    """Fold a stream."""
    return fold(CODEC.decode_all((event.topic, event.state) for event in events))


def never_wrong(found: Snapshot) -> Iterator[str]:
    """Check what must hold at any moment, while workers race and die: a linear log, and rows that are never behind."""
    for one, other in pairwise(found.events):
        if other.position <= one.position:
            yield f"positions do not increase: {one.position}, then {other.position}"
    for message_id, stream in found.messages().items():
        if [event.version for event in stream] != [1]:
            yield f"{message_id} stands {len(stream)} times in the log"
    streams = found.streams()
    for saga_id in found.statuses.keys() ^ streams.keys():
        yield f"saga {saga_id} has {'no events' if saga_id in found.statuses else 'no status row'}"
    keys = Counter((row.saga_name, row.saga_key, row.run) for row in found.statuses.values())
    yield from (f"{number} sagas have the key {key}" for key, number in keys.items() if number > 1)
    for saga_id, stream in streams.items():
        versions = [event.version for event in stream]
        if versions != list(range(1, len(versions) + 1)):
            yield f"saga {saga_id} has the versions {versions}"
        elif saga_id in found.statuses:
            yield from _rows_are_those_of_the_log(found, saga_id, stream)


def _rows_are_those_of_the_log(found: Snapshot, saga_id: str, stream: list[StoredEvent]) -> Iterator[str]:
    try:
        state = state_of(stream)
    except SagalogError as problem:
        yield f"the history of saga {saga_id} cannot be read: {problem}"
        return
    definition = DEFINITIONS[state.digest]
    written = found.statuses[saga_id]
    computed = status_row(definition, saga_id, state)
    if replace(written, position=0, owner=None) != computed:
        yield f"the status row of saga {saga_id} is {written}, its log says {computed}"
    if written.position != stream[-1].position:
        yield f"the status row of saga {saga_id} is at position {written.position}, its log at {stream[-1].position}"
    rows = [_comparable(row) for row in step_rows(definition, saga_id, None, state)]
    beside = [replace(row, position=0) for row in found.steps.get(saga_id, [])]
    if sorted(rows, key=_place) != sorted(beside, key=_place):
        yield f"the step rows of saga {saga_id} are {beside}, its log says {rows}"


def _comparable(row: StepRow) -> StepRow:
    return replace(row, result=None if row.result is None else canonical(msgspec.json.decode(row.result)))


def _place(row: StepRow) -> tuple[str, int]:
    return row.direction, row.ordinal


def settled(found: Snapshot) -> Iterator[str]:
    """Check what must hold when all is done: every saga is at rest, and audits are empty."""
    for row in found.statuses.values():
        if row.status not in AT_REST:
            yield f"saga {row.saga_key} is {row.status}, waiting for {row.waiting_for}, owned by {row.owner}"
        elif row.owner is not None:
            yield f"saga {row.saga_key} is {row.status}, and still owned by {row.owner}"
        if row.status == "stuck" and not row.error_text:
            yield f"saga {row.saga_key} is stuck without a reason"
    yield from (f"audit {name}: {row}" for name, row in found.audits)


def effects_once(found: Snapshot, shop: Path) -> Iterator[str]:
    """Check the ledgers of the services: by idempotency key each effect once, undone once, and as the saga ended."""
    ends = {row.saga_key: row.status for row in found.statuses.values() if row.saga_key.startswith("order-")}
    with Database(shop) as database:
        for violation in reconcile(
            ends, inventory=Inventory(database), payments=Payments(database), carrier=Carrier(database)
        ):
            yield str(violation)


def acknowledged_starts_exist(found: Snapshot, journals: Journals) -> Iterator[str]:
    """Check that each start somebody was told of is there, once, and the same for all who were told."""
    by_key = {row.saga_key: row.saga_id for row in found.statuses.values()}
    created: Counter[str] = Counter()
    for key, saga_id, was_created in journals.acknowledged:
        created[key] += was_created
        if by_key.get(key) != saga_id:
            yield f"the start of {key} was acknowledged as {saga_id}, the database has {by_key.get(key)}"
    yield from (f"{number} starts of {key} were told that it was new" for key, number in created.items() if number > 1)


def nothing_acknowledged_is_lost(found: Snapshot, journals: Journals) -> Iterator[str]:
    """Check that the log holds every append that was acknowledged, and nothing that nobody tried to append."""
    streams = found.streams()
    written: Counter[tuple[str, int]] = Counter()
    for one in journals.appends.values():
        if not one.acknowledged:
            continue
        written.update((one.saga_id, version) for version in one.versions)
        if not one.stands_in(streams.get(one.saga_id, [])):
            yield f"saga {one.saga_id}: the events {list(one.versions)} of {one.process} were acknowledged and are lost"
    for (saga_id, version), number in written.items():
        if number > 1:
            yield f"saga {saga_id}: {number} appends of event {version} were acknowledged"
    for saga_id, stream in streams.items():
        covered = {version for one in journals.landed(saga_id, stream) for version in one.versions}
        if missing := sorted({event.version for event in stream} - covered):
            yield f"saga {saga_id}: nobody tried to append the events {missing}"


def one_owner_at_a_time(found: Snapshot, journals: Journals) -> Iterator[str]:
    """Check who appended: only who had the saga, and a new owner only after the lease of the one before it was over."""
    for saga_id, stream in found.streams().items():
        owner: str | None = None
        for one in sorted(journals.landed(saga_id, stream), key=lambda one: one.expected):
            if one.holder is None:
                continue
            claim = journals.claim_before(one)
            if claim is None:
                yield f"saga {saga_id}: {one.holder} appended event {one.expected + 1} and had never claimed it"
            elif taker := journals.taken_since(claim, one):
                yield f"saga {saga_id}: {one.holder} appended event {one.expected + 1} after {taker} had taken it"
            elif owner is not None and owner != one.holder and journals.held(owner, saga_id, claim):
                yield f"saga {saga_id}: {one.holder} took it at {claim.asked_at} from {owner}, whose lease went on"
            owner = one.holder


def nothing_is_done_undecided(found: Snapshot, journals: Journals) -> Iterator[str]:
    """Check that each call of a service was due by what its process knew to be durable just before it."""
    streams = found.streams()
    states: dict[tuple[str, int], dict[str, int]] = {}
    for call in journals.calls:
        stream = streams.get(call.saga_id, [])
        if call.version is None or call.version > len(stream):
            yield f"saga {call.saga_id}: {call.key} was called by {call.process}, which knew of no durable start"
            continue
        place = call.saga_id, call.version
        if place not in states:
            try:
                states[place] = journals.due(stream[: call.version])
            except SagalogError:
                continue  # a history that cannot be read has been named already
        if call.key not in states[place]:
            yield f"saga {call.saga_id}: {call.key} was called at version {call.version}, due was {states[place]}"
        elif call.at + journals.skew < states[place][call.key]:
            yield f"saga {call.saga_id}: {call.key} was called at {call.at}, due from {states[place][call.key]} on"
