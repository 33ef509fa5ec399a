"""What holds of decide, evolve and react for any saga and any inputs: wanted, repeated, late, stale, out of order."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.walks import Walk, walked

from sagalog.codec import CODEC, encode_json
from sagalog.saga import events as e
from sagalog.saga.evolve import evolve, fold
from sagalog.saga.react import RunAction, RunCompensation, react
from sagalog.saga.redecide import first_divergence
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import OPEN, STATUSES, TRANSITIONS
from sagalog.testing.simulation.verdict import judge_history

seeds = st.integers(0, 2**32)


def statuses(events: list[e.SagaEvent]) -> list[tuple[str | None, str, str]]:
    """Return (status before, event, status after) along a history."""
    found: list[tuple[str | None, str, str]] = []
    state: SagaState | None = None
    for event in events:
        before = None if state is None else state.status
        state = evolve(state, event)
        found.append((before, type(event).__name__, state.status))
    return found


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_every_decision_stays_inside_the_transition_table(seed: int) -> None:
    """Invariant 14: no outcome is without a transition."""
    for before, event, after in statuses(walked(seed).events):
        assert after in TRANSITIONS[before, event], (before, event, after)  # type: ignore[index]


def test_every_pair_of_the_transition_table_is_reached() -> None:
    reached: set[tuple[str | None, str]] = set()
    for seed in range(3_000):
        reached |= {(before, event) for before, event, _ in statuses(walked(seed, 30).events)}
        if reached == set(TRANSITIONS):
            break
    assert set(TRANSITIONS) - reached == set()
    assert {after for targets in TRANSITIONS.values() for after in targets} == set(STATUSES)


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_the_live_state_equals_the_fold_of_the_history_byte_by_byte(seed: int) -> None:
    """Invariant 39: at every point, and after a way through storage."""
    walk = walked(seed)
    stored = [CODEC.encode(event) for event in walk.events]
    for length, live in walk.live:
        replayed = fold(CODEC.decode_all(stored[:length]))
        assert encode_json(replayed) == encode_json(live)
        assert replayed.version == length


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_deciding_again_on_the_recorded_inputs_gives_the_recorded_events(seed: int) -> None:
    """Invariant 39."""
    walk = walked(seed)
    assert first_divergence(walk.definition, walk.events) is None


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_whatever_happened_a_saga_for_which_all_goes_well_then_comes_to_a_sound_end(seed: int) -> None:
    """Invariants 13, 15, 17, 18, 19, 24 and 25."""
    walk = walked(seed)
    walk.finish()
    assert judge_history(walk.definition, walk.events) == []


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_no_action_is_asked_for_once_compensating_and_nothing_once_at_rest(seed: int) -> None:
    """Invariants 13, 16 and 19."""
    walk = walked(seed)
    for _, state in walk.live:
        effects = react(walk.definition, state)
        if state.status not in ("started", "pending"):
            assert not any(isinstance(effect, RunAction) for effect in effects)
        if state.status != "compensating":
            assert not any(isinstance(effect, RunCompensation) for effect in effects)
        if state.status not in OPEN:
            assert effects == []
        else:
            assert effects or state.paused, f"it is {state.status} and waits for nothing"


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_telling_everything_twice_changes_nothing(seed: int) -> None:
    """Invariant 7: M handled twice has the effect of M handled once."""
    once, twice = Walk(random.Random(seed)), Walk(random.Random(seed))
    for _ in range(20):
        once.step()
    for told, now in once.told[1:]:
        twice.now = now
        resumes = type(told).__name__ == "StartAgain"
        twice.tell(told)
        if not resumes:
            assert twice.tell(told) == []
    assert [event for event in twice.events if not isinstance(event, e.SagaStarted)] == once.events[1:]
