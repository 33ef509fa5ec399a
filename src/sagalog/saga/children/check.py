"""Checks of what was declared with `saga.child(...)`, and the rules of the definition made from it."""

from typing import Any

from sagalog.errors import DefinitionError
from sagalog.saga.binding import result_type
from sagalog.saga.callables import handler_mistake, question_mistake
from sagalog.saga.definition import ChildRule, CompensationDefinition, Definition
from sagalog.saga.payload.annotations import plain
from sagalog.saga.retry import COMPENSATION_RETRY
from sagalog.saga.written import DeclaredStep


def child_of(step: DeclaredStep, input_type: Any, after_pivot: bool, mistakes: list[str]) -> ChildRule | None:
    """Return the child saga of a step; appends to `mistakes`."""
    if step.child is None:
        return None
    try:
        definition: Definition = step.child.saga.definition
    except (AttributeError, DefinitionError) as problem:
        mistakes.append(f"child {step.name}: {problem}")
        return None
    if step.child.takes_input:
        wrong = question_mistake(step.handler, "the input", input_type)
        mistakes += [f"child {step.name}: input= {wrong}"] if wrong is not None else []
    elif step.is_async:
        mistakes.append(f"child {step.name}: its function only makes the child's input; let it be a plain one")
    if not step.child.takes_input:
        try:
            wrong = handler_mistake(step.handler, first=False)
            found: Any = result_type(step.handler) if wrong is None else definition.input.kind
        except Exception:
            # Annotations that cannot be resolved are reported where the parameters are bound.
            found = definition.input.kind
        if plain(found) != plain(definition.input.kind):
            shown = getattr(found, "__name__", found)
            mistakes.append(
                f"child {step.name}: its function must say that it returns the input of saga {definition.name}, "
                f"{definition.input.name}; found {shown}"
            )
    if definition.pivot is not None and is_undone(step, after_pivot):
        mistakes.append(
            f"child {step.name}: saga {definition.name} has a pivot, {definition.pivot}, so it cannot be undone; "
            "let the child be the pivot, let it come after it, or say compensation=None"
        )
    return ChildRule(definition, step.child.takes_input)


def is_undone(step: DeclaredStep, after_pivot: bool) -> bool:
    """Tell whether a child is undone when the saga is rolled back."""
    return not (after_pivot or step.pivot or step.waived)


def undoing_of(step: DeclaredStep, after_pivot: bool) -> CompensationDefinition | None:
    """Return how a child is undone: it undoes itself when it is asked."""
    if not is_undone(step, after_pivot):
        return None
    return CompensationDefinition(
        handler=undo_child,
        is_async=True,
        parameters=(),
        takes_none=True,
        retry=COMPENSATION_RETRY,
        timeout=None,
    )


def undo_child() -> None:
    """Do nothing: the compensation of a child, which is never called; a note asks the child instead."""
