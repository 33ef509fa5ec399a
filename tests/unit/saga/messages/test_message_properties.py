"""What holds of messages and commands for any saga and any inputs: wanted, repeated, late, unreadable, out of order."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.walks import Walk, walked

from sagalog.readmodel.rows import command_rows, sent_messages
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.evolve import evolve
from sagalog.saga.react import Wait, react
from sagalog.saga.state import UNTOUCHED, SagaState, is_open

seeds = st.integers(0, 2**32)


def states_before(walk: Walk) -> list[tuple[SagaState, e.SagaEvent]]:
    """Return each event but the first with the state that it found."""
    found: list[tuple[SagaState, e.SagaEvent]] = []
    state: SagaState | None = None
    for event in walk.events:
        if state is not None:
            found.append((state, event))
        state = evolve(state, event)
    return found


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_every_message_is_recorded_once_when_it_comes_first_and_never_again(seed: int) -> None:
    """Invariant 7: nothing that comes is dropped, and nothing has an effect twice."""
    walk = Walk(random.Random(seed))
    seen: set[str] = set()
    for _ in range(25):
        asked = len(walk.told)
        events = walk.step()
        for told, _ in walk.told[asked:]:
            # What a parent and its child tell each other may be two facts at once, and has tests of its own.
            if not isinstance(told, i.Receive) or told.message.kind == "note":
                continue
            first = told.message.id not in seen
            seen.add(told.message.id)
            recorded = [event for event in events if getattr(event, "message", None) == told.message.id]
            assert bool(events) == first
            assert len(recorded) == first
            if first:
                assert events[0] is recorded[0]
    assert walk.state is not None
    assert seen <= set(walk.state.received)
    assert len(walk.state.received) == len(set(walk.state.received))
    once = [event.message for event in walk.events if isinstance(event, e.EventReceived)]
    assert len(once) == len(set(once))


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_a_kept_event_is_taken_at_most_once_and_in_the_order_in_which_it_came(seed: int) -> None:
    walk = walked(seed, 40)
    kept = [event.message for event in walk.events if isinstance(event, e.EventReceived) and event.kept]
    taken = [
        event.message
        for event in walk.events
        if isinstance(event, e.StepSucceeded | e.StepFailed) and event.message in kept
    ]
    assert taken == kept[: len(taken)]


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_a_command_id_stands_for_one_command_of_one_step_and_always_the_same_data(seed: int) -> None:
    """Invariant 6."""
    known: dict[str, tuple[str, str, str, bytes]] = {}
    for state, event in states_before(walked(seed, 40)):
        if not isinstance(event, e.RequestSent):
            continue
        here = state.steps.get(event.step, UNTOUCHED)
        number = here.side(event.direction).round
        what = (event.step, event.direction, event.name, bytes(event.data))
        assert known.setdefault(event.command_id, what) == what
        assert event.command_id.endswith(f":{number + 1}" if number else ("undo" if "undo" in event.command_id else ""))


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_no_command_asks_for_new_work_while_rolling_back_nor_overtakes_what_it_undoes(seed: int) -> None:
    """Invariants 18 and 19."""
    for state, event in states_before(walked(seed, 40)):
        if isinstance(event, e.RequestSent) and event.direction == "action":
            assert not state.rolling_back
        if isinstance(event, e.RequestSent) and event.direction == "compensation":
            here = state.steps[event.step]
            assert not is_open(here.action)
            assert here.action.waiting is None


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_every_command_that_was_sent_is_a_row_and_a_message_with_a_cause(seed: int) -> None:
    """Invariants 3 and 5."""
    walk = walked(seed, 40)
    assert walk.state is not None
    sent = [event for event in walk.events if isinstance(event, e.RequestSent)]
    rows = {row.command_id: row for row in command_rows(walk.definition, "saga", None, walk.state)}
    assert set(rows) == {event.command_id for event in sent}
    assert sum(row.sendings for row in rows.values()) == len(sent)
    causes = {"saga", *walk.state.received}
    messages = sent_messages("saga", walk.state, walk.events)
    assert [one.id for _, one in messages] == [event.command_id for event in sent]
    for number, one in messages:
        assert walk.events[number].time == one.time
        assert one.causation_id in causes
        assert one.causation_id == rows[one.id].causation_id


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_the_rows_of_commands_written_one_by_one_are_those_computed_at_the_end(seed: int) -> None:
    """Invariant 45: what is written with each decision adds up to what a rebuild computes."""
    walk = walked(seed, 40)
    written: dict[str, object] = {}
    before: SagaState | None = None
    for _, state in walk.live:
        written.update({row.command_id: row for row in command_rows(walk.definition, "saga", before, state)})
        before = state
    assert walk.state is not None
    assert written == {row.command_id: row for row in command_rows(walk.definition, "saga", None, walk.state)}


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_of_reply_and_timer_exactly_one_ends_the_waiting(seed: int) -> None:
    """Invariants 32 and 34: the timer after the reply is no news, the reply after the timer is recorded as late."""
    walk = walked(seed)
    assert walk.state is not None
    waits = [effect for effect in react(walk.definition, walk.state) if isinstance(effect, Wait)]
    for effect in waits:
        if effect.until is None:
            continue
        fired = i.TimerFired(effect.step, effect.direction, effect.attempt)
        for first_is_timer in (True, False):
            other = walked(seed)
            # What well ends the waiting: a reply, an event, or for a pause the timer itself.
            well = other._well(effect)
            other.now = max(other.now, effect.until)
            other.tell(fired if first_is_timer else well)
            assert other.state is not None
            ended = other.state.steps[effect.step]
            assert ended.side(effect.direction).waiting is None
            if not first_is_timer:
                assert other.tell(fired) == []
            elif isinstance(well, i.Receive):
                assert other.tell(well), "what comes too late is recorded"
