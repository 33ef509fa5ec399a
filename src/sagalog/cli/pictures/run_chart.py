"""The contents of a run's picture, from the events of a saga: rows of bars and marks in time; it draws nothing.

Times are microseconds since the epoch, as in the log. Nothing else is known: what had begun and was not recorded
yet is not shown.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from sagalog.cli.quantities import duration, moment
from sagalog.saga import events as e
from sagalog.saga.evolve import fold
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import ENDED, OPEN

BarKind = Literal["action", "undo", "request", "wait", "child", "pause", "forward", "back", "person"]
Ending = Literal["done", "refused", "unknown", "open"]
MarkKind = Literal[
    "event", "undone", "skipped", "stuck", "acted", "declined", "resumed", "completed", "failed", "abandoned"
]
# Deeper children are not drawn: the picture would not fit anywhere.
DEEPEST: Final = 4
ATTEMPTS: Final = frozenset(("action", "undo", "request"))


class Bar(NamedTuple):
    """Something that took time: an attempt, a wait, a pause before the next attempt, a phase of the saga.

    `undo`: it belongs to a compensation, also if it is a request, a child, or a pause.
    """

    kind: BarKind
    start: int
    end: int
    ending: Ending = "done"
    attempt: int = 1
    undo: bool = False


class Mark(NamedTuple):
    """Something that happened at one time."""

    kind: MarkKind
    at: int


# What each of them means, in words, in the order of a legend. Where the saga waits for a person, nothing is drawn.
OF_BARS: Final[dict[BarKind, str]] = {
    "action": "an attempt",
    "undo": "an attempt to undo",
    "request": "a reply is waited for",
    "wait": "an event or a time is waited for",
    "child": "a child saga",
    "pause": "pause before the next attempt",
    "forward": "the saga, going forward",
    "back": "the saga, being undone",
}
OF_ENDINGS: Final[dict[Ending, str]] = {
    "refused": "refused: not done",
    "unknown": "failed: nobody knows whether it was done",
    "open": "not over yet",
}
OF_MARKS: Final[dict[MarkKind, str]] = {
    "event": "an event came",
    "undone": "it was undone",
    "skipped": "skipped",
    "stuck": "stuck: a person is needed",
    "acted": "a person acted",
    "declined": "what a person wanted was refused",
    "resumed": "resumed",
    "completed": "completed",
    "failed": "failed: all undone",
    "abandoned": "abandoned: ended as it was",
}


class Row(NamedTuple):
    """One step, one event of others, or the saga itself: what happened there, and how it stands at the end."""

    name: str
    depth: int
    bars: list[Bar]
    marks: list[Mark]
    outcome: str

    @property
    def start(self) -> int:
        """Return the time of the first thing on the row."""
        return min([bar.start for bar in self.bars] + [mark.at for mark in self.marks])


class RunChart(NamedTuple):
    """A whole run."""

    saga: str
    key: str
    saga_id: str
    state: SagaState
    events: int
    rows: list[Row]

    @property
    def times(self) -> list[int]:
        """Return every time at which something begins or ends, sorted."""
        found = {time for row in self.rows for bar in row.bars for time in (bar.start, bar.end)}
        return sorted(found | {mark.at for row in self.rows for mark in row.marks})

    @property
    def attempts(self) -> list[int]:
        """Return how long each attempt took."""
        return [bar.end - bar.start for row in self.rows for bar in row.bars if bar.kind in ATTEMPTS]

    @property
    def kinds(self) -> set[BarKind]:
        """Return the kinds of bars that are there."""
        return {bar.kind for row in self.rows for bar in row.bars}

    @property
    def endings(self) -> set[Ending]:
        """Return how the bars end that are drawn."""
        return {bar.ending for row in self.rows for bar in row.bars if bar.kind != "person"}

    @property
    def happened(self) -> set[MarkKind]:
        """Return the kinds of marks that are there."""
        return {mark.kind for row in self.rows for mark in row.marks}

    @property
    def when(self) -> str:
        """Return when the run was, how long it took, and how many events it has."""
        state = self.state
        if state.ended is not None and state.status in ENDED:
            took = f"took {duration(state.ended - state.started)}"
        else:
            took = f"last event after {duration(state.updated - state.started)}"
        return f"{moment(state.started)}, {took}, {self.events} event{'s' if self.events > 1 else ''}"


Lookup = Callable[[str], Sequence[e.SagaEvent]]
"""Returns the events of another saga by its id; none if they are not known."""


def run_chart_of(saga_id: str, events: Sequence[e.SagaEvent], of: Lookup = lambda _: ()) -> RunChart:
    """Return the chart of a run; `of` finds the histories of child sagas, which are drawn below their steps."""
    state = fold(events)
    rows = _rows(events, state, of, 0, frozenset((saga_id,)))
    return RunChart(state.saga, state.key, saga_id, state, len(events), rows)


def _rows(events: Sequence[e.SagaEvent], state: SagaState, of: Lookup, depth: int, above: frozenset[str]) -> list[Row]:
    found = _Walk(state, depth)
    for event in events:
        found.see(event)
    rows: list[Row] = []
    for row in found.finished():
        rows.append(row)
        child = state.steps[row.name].child if row.name in state.steps else None
        known = () if child is None or child in above or depth == DEEPEST else of(child)
        if child is not None and known:
            rows += _rows(known, fold(known), of, depth + 1, above | {child})
    return rows


class _Open(NamedTuple):
    kind: BarKind
    since: int
    until: int | None
    attempt: int


class _Walk:
    """The rows of a saga as they grow, event by event."""

    def __init__(self, state: SagaState, depth: int) -> None:
        self._state = state
        self._depth = depth
        self._saga = Row(state.saga, depth, [], [], state.status)
        self._rows: dict[str, Row] = {}
        self._open: dict[tuple[str, e.Direction], _Open] = {}
        self._phase: _Open | None = None
        self._goes_back = self._is_paused = False
        self._last = 0

    def see(self, event: e.SagaEvent) -> None:
        """Take the next event."""
        match event:
            case e.SagaStarted():
                self._enter("forward", event.time)
            case e.StepSucceeded() | e.StepFailed():
                self._ends(event, "action")
            case e.StepCompensated() | e.CompensationFailed():
                self._ends(event, "compensation")
            case e.RequestSent():
                self._begins(event.step, event.direction, _Open("request", event.time, event.until, event.attempt))
            case e.StepWaiting():
                self._begins(event.step, "action", _Open("wait", event.time, event.until, 1))
            case e.ChildStarted():
                self._begins(event.step, "action", _Open("child", event.time, None, event.attempt))
            case e.ChildUndoSent():
                self._begins(event.step, "compensation", _Open("child", event.time, None, 1))
            case e.StepSkipped():
                self._row(event.step).marks.append(Mark("skipped", event.time))
            case e.StepFannedOut() if not event.elements:
                self._row(event.step).marks.append(Mark("skipped", event.time))
            case e.EventReceived() if event.kept:
                self._row(event.name).marks.append(Mark("event", event.time))
            case _:
                self._turns(event)
        self._last = event.time

    def _turns(self, event: e.SagaEvent) -> None:
        match event:
            case e.CompensationStarted():
                for step in event.waived:
                    self._drop(step, event.time)
                self._goes_back = True
                if not self._is_paused and (self._phase is None or self._phase.kind != "back"):
                    self._enter("back", event.time)
            case e.SagaStuck():
                self._saga.marks.append(Mark("stuck", event.time))
                self._enter("person", event.time)
            case e.SagaResumed():
                self._saga.marks.append(Mark("resumed", event.time))
                self._goes_on(event.time)
            case e.SagaCompleted() | e.SagaFailed() | e.SagaAbandoned():
                self._leave(event.time, "done")
                self._saga.marks.append(Mark(_ENDS[type(event)], event.time))
            case e.Action():
                self._is_acted_on(event)
            case _:
                pass

    def _is_acted_on(self, event: e.Action) -> None:
        """Mark what a person did where it was done; a paused saga does nothing of its own, and has no bar."""
        kind: MarkKind = "declined" if isinstance(event, e.ActionRefused) else "acted"
        # What is about a step that has not begun has no row to stand on.
        row = self._rows.get(event.step or "", self._saga)
        row.marks.append(Mark(kind, event.time))
        if kind == "acted" and event.verb == "pause":
            self._is_paused = True
            self._enter("person", event.time)
        elif kind == "acted" and event.verb == "unpause":
            self._goes_on(event.time)

    def _goes_on(self, time: int) -> None:
        self._is_paused = False
        self._enter("back" if self._goes_back else "forward", time)

    def _enter(self, kind: BarKind, time: int) -> None:
        self._leave(time, "done")
        self._phase = _Open(kind, time, None, 1)

    def _leave(self, time: int, ending: Ending) -> None:
        if self._phase is not None:
            self._saga.bars.append(Bar(self._phase.kind, self._phase.since, max(time, self._phase.since), ending))
        self._phase = None

    def _row(self, name: str) -> Row:
        return self._rows.setdefault(name, Row(name, self._depth, [], [], _outcome(name, self._state)))

    def _begins(self, step: str, direction: e.Direction, opened: _Open) -> None:
        self._row(step)
        self._closed(step, direction, opened.since, "done")
        self._open[step, direction] = opened

    def _drop(self, step: str, time: int) -> None:
        """End a pure wait, which has nothing to be undone."""
        if (step, "action") in self._open and self._open[step, "action"].kind == "wait":
            self._closed(step, "action", time, "unknown")

    def _closed(self, step: str, direction: e.Direction, time: int, ending: Ending) -> _Open | None:
        """End what is under way in this direction of a step, as a bar, and return it."""
        opened = self._open.pop((step, direction), None)
        if opened is not None:
            bar = Bar(
                opened.kind,
                opened.since,
                max(time, opened.since),
                ending if opened.kind != "pause" else "done",
                opened.attempt,
                direction == "compensation",
            )
            self._row(step).bars.append(bar)
        return opened

    def _ends(
        self, event: e.StepSucceeded | e.StepFailed | e.StepCompensated | e.CompensationFailed, direction: e.Direction
    ) -> None:
        undo = direction == "compensation"
        if self._state.kind == "choreography":
            # Nothing is run here: it is told by an event.
            self._row(event.step).marks.append(Mark("undone" if undo else "event", event.time))
            return
        began = self._last if event.began is None else event.began
        ending = _ending(event)
        opened = self._open.get((event.step, direction))
        if opened is not None and opened.kind != "pause":
            self._closed(event.step, direction, event.time, ending)
        else:
            self._closed(event.step, direction, began, "done")
            kind: BarKind = "undo" if undo else "action"
            bar = Bar(kind, min(began, event.time), event.time, ending, event.attempt, undo)
            self._row(event.step).bars.append(bar)
        if isinstance(event, e.StepFailed | e.CompensationFailed) and event.retry_at is not None:
            self._open[event.step, direction] = _Open("pause", event.time, event.retry_at, event.attempt)

    def finished(self) -> Iterator[Row]:
        """Yield the rows: the saga's own, then its steps in the order in which they began."""
        is_open = self._state.status in OPEN
        ends = self._last
        for (step, direction), opened in list(self._open.items()):
            until = max(self._last, opened.until or 0) if is_open else self._last
            ends = max(ends, until)
            if opened.kind != "pause" or is_open:
                self._closed_open(step, direction, until, is_open)
        if self._phase is not None and self._state.status not in ENDED:
            self._leave(ends, "open")
        yield self._saga
        # Rows that began at the same time stay in the order of the log.
        yield from sorted(self._rows.values(), key=lambda row: row.start)

    def _closed_open(self, step: str, direction: e.Direction, until: int, is_open: bool) -> None:
        opened = self._open.pop((step, direction))
        ending: Ending = "open" if is_open else "unknown"
        self._row(step).bars.append(
            Bar(opened.kind, opened.since, until, ending, opened.attempt, direction == "compensation")
        )


def _ending(event: e.StepSucceeded | e.StepFailed | e.StepCompensated | e.CompensationFailed) -> Ending:
    if isinstance(event, e.StepFailed):
        return event.outcome
    if isinstance(event, e.CompensationFailed):
        return "refused" if event.error.kind == "refused" else "unknown"
    return "done"


_UNDOING: Final = {
    "compensated": "undone",
    "failed": "not undone",
    "pending": "to be undone",
    "retrying": "to be undone",
    "waived": "",
    "skipped": "",
    "none": "",
}
_DOING: Final = {"open": "under way", "retrying": "to be retried", "dropped": "given up"}


_ENDS: Final[dict[type[e.SagaEvent], MarkKind]] = {
    e.SagaCompleted: "completed",
    e.SagaFailed: "failed",
    e.SagaAbandoned: "abandoned",
}


def _outcome(name: str, state: SagaState) -> str:
    """Return how a step stands at the end, in a word or two, with the number of attempts if there were several."""
    step = state.steps.get(name)
    if step is None:
        return ""
    if state.status == "abandoned" and name in state.pending:
        return "left as it is"
    undone = _UNDOING[step.undo.status]
    side = step.undo if undone else step.action
    stopped = state.status not in OPEN and side.status == "open"
    words = undone or ("stopped" if stopped else _DOING.get(side.status, side.status))
    attempts = max(step.action.attempts, step.undo.attempts)
    return f"{words} {attempts}x" if attempts > 1 else words
