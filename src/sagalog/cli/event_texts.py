"""An event in words, for people: its coloured name, and a one-line summary."""

from rich.text import Text

from sagalog.cli.quantities import duration
from sagalog.cli.table import plain
from sagalog.saga import events as e
from sagalog.saga.attributes import text_of

STYLES: dict[type[e.SagaEvent], str] = {
    e.StepSucceeded: "green",
    e.SagaCompleted: "green",
    e.StepFailed: "yellow",
    e.SagaFailed: "yellow",
    e.CompensationStarted: "magenta",
    e.StepCompensated: "magenta",
    e.CompensationFailed: "red",
    e.SagaStuck: "bold red",
    e.ActionTaken: "bold cyan",
    e.ActionRefused: "yellow",
    e.SagaAbandoned: "bold red",
    e.StepSkipped: "dim",
    e.StepWaiting: "dim",
    e.EventReceived: "dim",
}


def event_text(event: e.SagaEvent) -> Text:
    """Return the name of an event in its colour."""
    return Text(type(event).__name__, style=STYLES.get(type(event), ""))


def summary(event: e.SagaEvent, kind: e.Kind = "saga") -> str:
    """Return a one-line summary of an event, of a saga or of a choreography."""
    words: list[str] = [plain(getattr(event, "step", None) or "")]
    attempt = getattr(event, "attempt", 1)
    if attempt > 1:
        words.append(f"attempt {attempt}")
    match event:
        case e.SagaStarted():
            words.append(f"{event.saga} version {event.version}, key {event.key}")
        case e.StepSucceeded():
            words.append("late: it had been given up, so it is undone" if event.late else "")
            words.append("as a person wants it; it is not undone later" if event.waived else "")
        case e.StepFailed() | e.CompensationFailed():
            again = "" if event.retry_at is None else f"; again in {duration(event.retry_at - event.time)}"
            outcome = f"{event.outcome}: " if isinstance(event, e.StepFailed) else ""
            words.append(f"{outcome}{event.error.type}: {event.error.message}{again}")
        case e.CompensationStarted():
            waived = f"; nothing to undo for {', '.join(event.waived)}" if event.waived else ""
            words.append(f"undo {', '.join(event.plan) or 'nothing'}{waived}")
        case e.RequestSent() | e.EventReceived() | e.StepWaiting() | e.StartRefused():
            words += _of_messages(event, kind)
        case e.SagaFailed():
            words.append(f"{event.error.type}: {event.error.message}")
        case e.SagaStuck():
            words.append(event.reason)
        case e.Action() | e.SagaResumed() | e.SagaAbandoned():
            words = _of_people(event)
        case _:
            words += _of_parts(event)
    words += _of_attributes(event)
    message = getattr(event, "message", None)
    if message is not None and not isinstance(event, e.EventReceived | e.StartRefused):
        words.append(f"by message {message}")
    return plain(", ".join(word for word in words if word))


def _of_people(event: e.Action | e.SagaResumed | e.SagaAbandoned) -> list[str]:
    if isinstance(event, e.SagaResumed):
        return [f"by {event.actor}: {event.reason}"]
    if isinstance(event, e.SagaAbandoned):
        return [f"{event.error.message}; left as they are: {', '.join(event.left) or 'no steps'}"]
    words: list[str] = [_what_is_done(event)]
    if event.happened is not None:
        words.append("it happened" if event.happened else "it did not happen")
    if event.waive:
        words.append("not undone later")
    if event.until is not None:
        moved = event.until - event.time
        words.append("now" if moved <= 0 else f"in {duration(moved)}")
    words.append(f"by {event.actor}: {event.reason}")
    return [*words, f"refused, for {event.why}"] if isinstance(event, e.ActionRefused) else words


def _what_is_done(event: e.Action) -> str:
    """Return the verb, and what it is about."""
    if event.of_deadline:
        return f"{event.verb} the deadline"
    undoing = "the compensation of " if event.direction == "compensation" else ""
    if event.step is not None:
        return f"{event.verb} {undoing}{event.step}"
    return f"{event.verb} the input" if event.verb == "amend" else event.verb


def _of_attributes(event: e.SagaEvent) -> list[str]:
    brought: dict[str, e.AttributeData] = getattr(event, "attributes", {})
    problem: e.ErrorInfo | None = getattr(event, "attributes_error", None)
    words = [f"{name}={'none' if data is None else text_of(data)}" for name, data in brought.items()]
    return words if problem is None else [*words, f"no attributes, for {problem.type}: {problem.message}"]


def _of_parts(event: e.SagaEvent) -> list[str]:
    match event:
        case e.ChildStarted() | e.ChildUndoSent():
            return [f"saga {event.saga} {event.child}"]
        case e.UndoAsked():
            return [f"by saga {event.parent}"]
        case e.StepFannedOut():
            pace = "one by one" if event.at_once == 1 else f"up to {event.at_once} at once"
            return [f"{len(event.elements)} elements, {pace}"]
        case _:
            return []


def _of_messages(event: e.RequestSent | e.EventReceived | e.StepWaiting | e.StartRefused, kind: e.Kind) -> list[str]:
    match event:
        case e.RequestSent():
            undo = "to undo it, " if event.direction == "compensation" else ""
            within = duration(event.until - event.time)
            return [f"{undo}{event.name} sent as {event.command_id}; a reply is waited for for {within}"]
        case e.StepWaiting():
            return ["waits" if event.until is None else f"waits for {duration(event.until - event.time)}"]
        case e.EventReceived():
            use = "it changes nothing"
            if event.kept:
                use = "kept until it is needed" if kind == "saga" else "it is no step, and counts"
            return [f"{event.name}, message {event.message}; {use}"]
        case e.StartRefused():
            return [] if event.message is None else [f"by message {event.message}"]
