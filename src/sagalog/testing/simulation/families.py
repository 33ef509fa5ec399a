"""What must hold between parent and child sagas once all have come to rest; it repairs nothing."""

from collections.abc import Iterator, Mapping, Sequence

from sagalog.saga.definition import Definition
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import AT_REST
from sagalog.store import StatusRow


def waiting_for_a_person(rows: Sequence[StatusRow]) -> set[str]:
    """Return the open sagas that wait for a stuck child, or for a child that itself waits for one."""
    children: dict[str | None, list[StatusRow]] = {}
    for row in rows:
        children.setdefault(row.causation_id, []).append(row)

    def waits(row: StatusRow) -> bool:
        return row.status not in AT_REST and any(
            child.status == "stuck" or waits(child) for child in children.get(row.saga_id, ())
        )

    return {row.saga_id for row in rows if waits(row)}


def judge_families(definitions: Mapping[str, Definition], states: Mapping[str, SagaState]) -> Iterator[str]:
    """Yield violations of invariant 28: the end of every child must match its parent's."""
    for saga_id, child in states.items():
        if child.parent is None:
            continue
        parent = states.get(child.parent.saga_id)
        name = f"saga {child.saga} ({saga_id}), step {child.parent.step} of {child.parent.saga_id}"
        if parent is None:
            yield f"28: {name} has a parent that there is not"
            continue
        here = parent.steps.get(child.parent.step)
        undone = definitions[parent.digest].step(child.parent.step).compensation is not None
        if here is None or here.child is None:
            if parent.status in ("completed", "failed"):
                yield f"28: {name} was started and its parent, which {parent.status}, does not know it"
        elif child.parent.round == here.action.round and here.child != saga_id:
            yield f"28: {name} is there besides {here.child}"
        elif parent.status == "completed" and child.parent.round == here.action.round and child.status != "completed":
            yield f"28: {name} is {child.status} and its parent completed"
        elif parent.status == "failed" and undone and child.status != "failed":
            yield f"28: {name} is {child.status} and its parent failed"
        elif parent.status == "failed" and child.status not in ("completed", "failed"):
            yield f"28: {name} is {child.status} and was left by its parent, which failed"
