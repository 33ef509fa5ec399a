"""What can be undone now is the same for a state of which something is known and for one of which nothing is."""

from kernel.walks import walked
from msgspec.structs import replace

from sagalog.saga.evolve import evolve, fold
from sagalog.saga.state import SagaState
from sagalog.saga.undo_front import undo_front


def test_the_front_that_is_sought_from_the_last_one_is_the_one_that_is_sought_from_the_end() -> None:
    """Invariants 18, 19 and 37."""
    fronts = 0
    for seed in range(150):
        walk = walked(seed, 30)
        walk.finish()
        live: SagaState | None = None
        for number, event in enumerate(walk.events, 1):
            live = evolve(live, event)
            if live.rolling_back:
                fronts += 1
                assert undo_front(walk.definition, live) == undo_front(walk.definition, fold(walk.events[:number]))
    assert fronts > 200


def test_what_was_found_with_one_definition_is_not_told_of_another() -> None:
    for seed in range(60):
        walk = walked(seed, 30)
        state = walk.state
        assert state is not None
        if state.rolling_back:
            front = undo_front(walk.definition, state)
            none_planned = replace(walk.definition, stages=(), stage_of={}, stage_after=(0,) * 99)
            assert undo_front(none_planned, state) != front or not any((front.ending, front.ready, front.blocked))
            assert undo_front(walk.definition, state) == front
