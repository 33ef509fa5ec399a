"""What must hold of sagas of every kind once they are at rest: their effects, their order, their families, their mail.

Everything is compared with the ledger of the services and with what was planned; of the log only the facts are read.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import msgspec
from torture.journals import Journals
from torture.ledger import Effect
from torture.plans import CHILD_STEPS, VOYAGE_STAGES, ends_of, expected_steps, parted
from torture.snapshot import Snapshot

from sagalog.codec import CODEC
from sagalog.saga.events import (
    ChildStarted,
    CompensationStarted,
    RequestSent,
    SagaStarted,
    StepFailed,
    StepFannedOut,
    StepSucceeded,
)
from sagalog.saga.identifiers import part_of
from sagalog.store import StatusRow
from sagalog.store.published import stream_of

# What a planted refusal says, of whichever database.
PLANTED = ("planted", "string or blob too big")
CHILDREN_OF_A_VOYAGE = ("cater", "clean")
# Where an effect stands among those of its voyage: a stage, a branch and a part for each saga around it.
Path = tuple[tuple[int, str, int], ...]


class Deed(NamedTuple):
    """An effect and, if it was undone, when: the numbers are those of the ledger."""

    saga_id: str
    step: str
    done: int
    undone: int | None


def deeds_of(ledger: Iterable[Effect]) -> dict[str, list[Deed]]:
    """Return what was done, by saga (or by trip), each action once."""
    done: dict[str, int] = {}
    undone: dict[str, int] = {}
    for effect in ledger:
        (done if effect.direction == "action" else undone).setdefault(effect.action, effect.number)
    found: dict[str, list[Deed]] = {}
    for action, number in done.items():
        owner, step = parted(action)
        found.setdefault(owner, []).append(Deed(owner, step, number, undone.get(action)))
    return found


def done_once(ledger: Sequence[Effect]) -> Iterator[str]:
    """Check that each effect was made at most once, and undone at most once and only after it."""
    for (action, direction), number in Counter((one.action, one.direction) for one in ledger).items():
        if number > 1:
            yield f"the {direction} {action} was done {number} times"
    seen: set[str] = set()
    for effect in ledger:
        if effect.direction == "action":
            seen.add(effect.action)
        elif effect.action not in seen:
            yield f"{effect.action} was undone before it was done"


def as_ended(found: Snapshot, ledger: Sequence[Effect]) -> Iterator[str]:
    """Check that of each saga exactly those effects stand that its end leaves."""
    deeds = deeds_of(ledger)
    owners = {_owner_of(row): row for row in found.statuses.values()}
    for owner in deeds.keys() - owners.keys():
        yield f"there are effects of {owner}, which is no saga"
    for owner, row in owners.items():
        expected = _expected(found, row)
        if expected is None:
            continue
        made = {deed.step for deed in deeds.get(owner, [])}
        standing = {deed.step for deed in deeds.get(owner, []) if deed.undone is None}
        whole, stands = expected
        if standing != stands:
            yield f"{row.saga_name} {row.saga_key} is {row.status}: {sorted(standing)} stand, expected {sorted(stands)}"
        if whole is not None and made - whole:
            yield f"{row.saga_name} {row.saga_key} is {row.status} and has made {sorted(made - whole)}, too"


def _owner_of(row: StatusRow) -> str:
    return row.saga_key if row.saga_name == "torture-trip" else row.saga_id


def _expected(found: Snapshot, row: StatusRow) -> tuple[set[str] | None, set[str]] | None:
    """Return all steps that may have made an effect (None: any), and those whose effects stand; None: no voyage."""
    if row.saga_name in CHILD_STEPS:
        whole = CHILD_STEPS[row.saga_name]
        return whole, whole if row.status == "completed" else set()
    if not row.saga_key.startswith(("voyage-", "trip-")):
        return None
    if row.status == "stuck" and row.saga_key.endswith("-stuck-back"):
        return None, {"hold", "berth"}
    whole = expected_steps(row.saga_key, _crates_of(found, row))
    if row.status == "stuck" and row.saga_key.endswith("-stuck-ahead"):
        return None, whole - {"announce", "bill"}
    if row.status == "completed":
        return whole, whole
    return None, set()


def _crates_of(found: Snapshot, row: StatusRow) -> int:
    if row.saga_name == "torture-trip":
        return 0
    first = found.streams()[row.saga_id][0]
    started = CODEC.decode_all([(first.topic, first.state)])[0]
    assert isinstance(started, SagaStarted)
    return len(msgspec.json.decode(started.input).get("crates", []))


def in_order(found: Snapshot, ledger: Sequence[Effect]) -> Iterator[str]:
    """Check that what was done after something else was done after it, and undone before it, children included."""
    by_root: dict[str, list[tuple[Path, Deed]]] = {}
    for owner, deeds in deeds_of(ledger).items():
        row = found.statuses.get(owner)
        root, around = (owner, ()) if row is None else _root(found, row)
        by_root.setdefault(root, []).extend(((*around, place_of(deed.step)), deed) for deed in deeds)
    for root, placed in by_root.items():
        for (one_path, one), (other_path, other) in combinations(placed, 2):
            order = _order(one_path, other_path)
            if order == 0:
                continue
            first, second = (one, other) if order < 0 else (other, one)
            if second.done < first.done:
                yield f"{root}: {second.step} was done before {first.step}"
            if first.undone is not None and (second.undone is None or second.undone > first.undone):
                yield f"{root}: {first.step} was undone while {second.step} stood"


def _root(found: Snapshot, row: StatusRow) -> tuple[str, Path]:
    """Return the saga that a saga is a part of in the end, and the steps that lead to it from there."""
    parent = found.statuses.get(parted(row.saga_key)[0])
    if parent is None:
        return row.saga_id, ()
    root, around = _root(found, parent)
    return root, (*around, place_of(parted(row.saga_key)[1]))


def place_of(step: str) -> tuple[int, str, int]:
    """Return where a step stands in its own saga; parts that are done at once have no order among themselves."""
    part = part_of(step)
    name = step if part is None else part[0]
    stage, branch = VOYAGE_STAGES[name]
    if part is not None and name == "load":
        return stage, step, 0
    return stage, branch, 0 if part is None else part[1]


def _order(one: Path, other: Path) -> int:
    """Return -1 if one comes before the other, 1 if after it, 0 if they have no order."""
    for (stage, branch, part), (other_stage, other_branch, other_part) in zip(one, other, strict=False):
        if stage != other_stage:
            return -1 if stage < other_stage else 1
        if branch != other_branch:
            return 0
        if part != other_part:
            return -1 if part < other_part else 1
    return 0


def children_as_their_parents(found: Snapshot) -> Iterator[str]:
    """Check that a child has ended as its parent: done with it, undone with it, and never left behind."""
    children: dict[str, set[str]] = {}
    for row in found.statuses.values():
        if row.saga_name not in CHILD_STEPS:
            continue
        parent_id, step = parted(row.saga_key)
        parent = found.statuses.get(parent_id)
        if parent is None:
            yield f"child {row.saga_id} has no parent {parent_id}"
            continue
        children.setdefault(parent_id, set()).add(step)
        is_ahead = parent.status == "completed" or parent.saga_key.endswith("-stuck-ahead")
        expected = "completed" if is_ahead else "failed"
        if row.status != expected:
            yield f"child {row.saga_name} of {parent.saga_key} is {row.status}, its parent {parent.status}"
    for row in found.statuses.values():
        if row.saga_name.endswith("voyage") and row.status == "completed":
            for step in set(CHILDREN_OF_A_VOYAGE) - children.get(row.saga_id, set()):
                yield f"{row.saga_key} has completed without its child {step}"


def nothing_forward_once_undoing(found: Snapshot, skew: int = 0) -> Iterator[str]:
    """Check that no saga asks for anything new, or begins an attempt, once it is being undone."""
    for saga_id, stream in found.streams().items():
        events = CODEC.decode_all((event.topic, event.state) for event in stream)
        if isinstance(events[0], SagaStarted) and events[0].kind == "choreography":
            continue
        undoing = next((n for n, event in enumerate(events) if isinstance(event, CompensationStarted)), len(events))
        since = [event.time + skew for event in events[undoing : undoing + 1]]
        children: set[str] = set()
        for event in events[undoing:]:
            match event:
                case RequestSent(direction="action"):
                    yield f"saga {saga_id} sent {event.command_id} after it had begun to undo"
                case StepFannedOut():
                    yield f"saga {saga_id} fanned {event.step} out after it had begun to undo"
                case ChildStarted():
                    children.add(event.step)  # it had been started before, and is found by who calls it off
                case StepSucceeded(late=True):
                    pass  # when the attempt began that a late reply ends may not be known any more
                case StepSucceeded() | StepFailed() if (event.began or 0) > since[0] and event.step not in children:
                    yield f"saga {saga_id} began {event.step} after it had begun to undo"
                case _:
                    continue


def nothing_is_left(found: Snapshot) -> Iterator[str]:
    """Check that all mail was taken, nothing is parked, and everybody has read the log to its end."""
    for what, number in found.left.items():
        if number:
            yield f"{number} {what}"


def acknowledged_messages_exist(found: Snapshot, journals: Journals) -> Iterator[str]:
    """Check that each message that somebody was told is durable is in the log, and started what it starts."""
    keys = {row.saga_key for row in found.statuses.values()}
    messages = {event.saga_id for event in found.events}
    for message_id in journals.posted:
        if stream_of(message_id) not in messages:
            yield f"message {message_id} was acknowledged and is lost"
    for message_id, key in journals.published:
        if stream_of(message_id) not in messages:
            yield f"message {message_id} was acknowledged to who published it and is lost"
        elif key not in keys:
            yield f"message {message_id} was to start {key}, and there is no such saga"


def stuck_for_a_reason(journals: Journals) -> Iterator[str]:
    """Check what a person had to set going again: only what a planted refusal had stopped."""
    for what, why in journals.mended:
        if not any(said in why for said in PLANTED):
            yield f"{what} had to be set going again, and nothing was planted: {why}"


def known_ends(found: Snapshot) -> Iterator[str]:
    """Check that every saga that was started has an end that its plan allows."""
    for row in found.statuses.values():
        if row.saga_name not in CHILD_STEPS and row.status not in ends_of(row.saga_key):
            ends = " or ".join(ends_of(row.saga_key))
            yield f"saga {row.saga_key} ended {row.status} ({row.error_text}), expected {ends}"
