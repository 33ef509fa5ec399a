"""The rows that are written decision by decision are those that the state alone would have, for any saga."""

from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.walks import walked

from sagalog.readmodel.rows import step_rows
from sagalog.saga.state import SagaState
from sagalog.store import StepRow


@given(st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_what_each_decision_writes_of_steps_adds_up_to_all_their_rows(seed: int) -> None:
    """Invariants 45 and 48: whatever changes in a row, also by what becomes of other steps, is written."""
    walk = walked(seed)
    walk.finish(400)
    written: dict[tuple[str, str], StepRow] = {}
    before: SagaState | None = None
    for _, after in walk.live:
        written |= {(row.step, row.direction): row for row in step_rows(walk.definition, "saga", before, after)}
        computed = {(row.step, row.direction): row for row in step_rows(walk.definition, "saga", None, after)}
        assert written == computed
        before = after
