"""The contents of a saga's picture, from its definition: stages of boxes with their labels; it draws nothing."""

from typing import NamedTuple

from sagalog.cli.quantities import duration
from sagalog.messages import name_of
from sagalog.saga.definition import CompensationDefinition, Definition, StepDefinition
from sagalog.saga.retry import Retry


class StepBox(NamedTuple):
    """One step: its action, and how it is undone (None: not at all, for the reason in `undo_detail`).

    `repeated` says what it is made for, if it is made several times; `child` names the saga that it runs, if any.
    """

    name: str
    detail: str
    conditional: bool
    pivot: bool
    undo: str | None
    undo_detail: str
    repeated: str = ""
    child: str = ""


class Chart(NamedTuple):
    """A whole saga; the boxes of one stage run side by side."""

    title: str
    input: str
    stages: list[list[StepBox]]


def chart_of(definition: Definition) -> Chart:
    """Return the chart of a definition."""
    past_pivot = False
    stages: list[list[StepBox]] = []
    for stage in definition.stages:
        stages.append([_box(step, past_pivot) for step in stage])
        past_pivot = past_pivot or any(step.pivot for step in stage)
    return Chart(f"{definition.name} version {definition.version}", definition.input.name, stages)


def _box(step: StepDefinition, past_pivot: bool) -> StepBox:
    undo, child = step.compensation, _child(step)
    if undo is not None and step.child is not None:
        detail = "as a whole"
    elif undo is not None:
        detail = _patience(undo.retry, undo.timeout)
    elif past_pivot:
        detail = "never undone, only retried"
    else:
        detail = "once it is done nothing is undone" if step.pivot else "nothing to undo"
    return StepBox(
        step.name,
        _detail(step) if step.child is None else child,
        step.when is not None,
        step.pivot,
        None if undo is None else _undoing(step, undo),
        detail,
        _repeated(step),
        child,
    )


def _child(step: StepDefinition) -> str:
    if step.child is None:
        return ""
    return f"saga {step.child.definition.name} version {step.child.definition.version}"


def _undoing(step: StepDefinition, undo: CompensationDefinition) -> str:
    if step.child is not None:
        return f"undo {step.name}"
    return str(getattr(undo.handler, "__name__", f"undo {step.name}"))


def _repeated(step: StepDefinition) -> str:
    fan = step.fan
    if fan is None:
        return ""
    pace = "one by one" if fan.at_once == 1 else f"up to {fan.at_once} at once"
    return f"for each {fan.element.name}, {pace}"


def _detail(step: StepDefinition) -> str:
    """Return what a step does besides calling its function, with its retries and timeout."""
    over = None if step.timeout is None else _long(step.timeout)
    if step.kind == "sleep":
        return f"sleeps for {over}"
    if step.wait is not None:
        return f"waits for {step.wait.name}" + ("" if over is None else f", {over} at most")
    patience = _patience(step.retry, step.timeout)
    if step.exchange is None:
        return patience
    sends = " or ".join(sorted(name_of(kind) for kind in step.exchange.commands))
    return f"sends {sends}, {patience}"


def _patience(retry: Retry, timeout: int | None) -> str:
    patience = _limits(retry)
    return patience if timeout is None else f"{patience}, {_long(timeout)} each"


def _limits(retry: Retry) -> str:
    counted = "1 attempt" if retry.attempts == 1 else f"{retry.attempts} attempts"
    for_ = retry.microseconds
    if for_ is None:
        return "attempts without end" if retry.attempts is None else counted
    return f"attempts for {_long(for_)}" if retry.attempts is None else f"{counted} within {_long(for_)}"


def _long(microseconds: int) -> str:
    return duration(microseconds).replace(" m 00 s", " m").replace(".0 s", " s")
