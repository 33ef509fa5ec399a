"""What came of an action on a saga, or would come of it: for people and for machines; it decides and writes nothing."""

import sys
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec import Raw
from rich.text import Text

from sagalog.cli.event_lines import COLUMNS, EventLine, event_record, foreseen_lines, stored_lines
from sagalog.cli.expectations import Ahead, ahead, expected
from sagalog.cli.output import emit, emit_records, write, write_fields, write_json
from sagalog.cli.quantities import moment
from sagalog.cli.readers import Reader, readers_of
from sagalog.cli.table import Column, plain, status_text, table_of
from sagalog.process_manager import Acted, Preview
from sagalog.process_manager.acting import What
from sagalog.saga.definition import Definition
from sagalog.saga.events import Action, ActionRefused, SagaResumed, Verb
from sagalog.saga.evolve import fold
from sagalog.saga.progress import to_be_undone
from sagalog.saga.state import UNTOUCHED, SagaState
from sagalog.store import StatusRow, Store

# So much of a result is shown to a person.
LONGEST_RESULT: Final = 60
_READERS: tuple[Column[Reader], ...] = (
    Column("READ BY", lambda one: one.what),
    Column("STATUS", lambda one: status_text(one.status)),
)


class Outcome(NamedTuple):
    """An action on a saga, the events that record it, and the state after them.

    `what` is `done`, `queued`, `would be done` or `would be refused`. `readers` are what has used an amended value.
    """

    verb: Verb
    action_id: str
    row: StatusRow
    definition: Definition | None
    before: SagaState
    what: str
    after: SagaState
    lines: Sequence[EventLine]
    readers: Sequence[Reader] = ()

    @property
    def refused(self) -> ActionRefused | None:
        """Return the refusal, if it is one."""
        event = self.lines[0].event if self.lines else None
        return event if isinstance(event, ActionRefused) else None

    @property
    def changes(self) -> bool:
        """Tell whether the action changes the saga: it is not refused, and not done already."""
        return bool(self.lines) and self.refused is None

    @property
    def to_undo(self) -> tuple[str, ...]:
        """Return the steps that will be undone, in that order."""
        return () if self.after.status == "abandoned" else to_be_undone(self.after)

    @property
    def left(self) -> tuple[str, ...]:
        """Return the steps whose effects an abandoned saga leaves."""
        return self.after.pending if self.after.status == "abandoned" else ()

    def ahead(self) -> Ahead:
        """Return what is waited for after it, and what is about to be done, as far as that is known here."""
        if self.definition is None:
            return Ahead(expected(self.after), [])
        return ahead(self.definition, self.after)

    def warn(self) -> None:
        """Tell a person, who is asked then, what the action leaves behind, or comes too late for."""
        if self.verb == "abandon":
            _write_left(self)
        elif self.verb == "amend":
            _write_readers(self)

    def record(self) -> dict[str, Any]:
        """Return it for machines."""
        coming = self.ahead()
        return {
            "saga_id": self.row.saga_id,
            "saga_name": self.row.saga_name,
            "saga_key": self.row.saga_key,
            "verb": self.verb,
            "action_id": self.action_id,
            "outcome": self.what,
            "status_before": self.before.status,
            "status": self.after.status,
            "paused_by": self.after.paused,
            "fork": self.after.forked_to,
            "to_undo": list(self.to_undo),
            "left": list(self.left),
            "read_by": [one.what for one in self.readers],
            "waits": [
                {"what": one.what, "until": None if one.until is None else moment(one.until, "microseconds")}
                for one in coming.waits
            ],
            "next": coming.effects,
            "events": [event_record(line) for line in self.lines],
        }


def foreseen(
    verb: Verb, action_id: str, row: StatusRow, definition: Definition | None, preview: Preview, what: What
) -> Outcome:
    """Return what an action would come to."""
    before = preview.before
    lines = list(foreseen_lines(row.saga_id, before.version, preview.events, before.started, before.kind))
    would = "would be done" if lines else "is done already"
    readers: Sequence[Reader] = ()
    if verb == "amend" and definition is not None:
        readers = list(readers_of(definition, before, what.get("step")))
    found = Outcome(verb, action_id, row, definition, before, would, preview.after, lines, readers)
    return found if found.refused is None else found._replace(what="would be refused")


def after_it(found: Outcome, acted: Acted, store: Store) -> Outcome:
    """Return what an action came to: its events in the log, and the state right after them."""
    lines = list(stored_lines(store.read(acted.saga_id), found.before.started, found.before.kind))
    first = next(number for number, line in enumerate(lines) if _records(line, acted.action_id))
    end = first + len(acted.events)
    before = fold(line.event for line in lines[:first])
    after = fold((line.event for line in lines[first:end]), before)
    return found._replace(what="done", before=before, after=after, lines=lines[first:end])


def _records(line: EventLine, action_id: str) -> bool:
    return isinstance(line.event, Action | SagaResumed) and line.event.action_id == action_id


def as_queued(found: Outcome, store: Store) -> Outcome:
    """Return an action that its saga's worker will take when it can; the saga is shown as it is now."""
    now = fold(line.event for line in stored_lines(store.read(found.row.saga_id), 0, "saga"))
    return found._replace(what="queued", before=now, after=now, lines=())


def present(output: str, found: Outcome) -> None:
    """Write it in the given format: one object, or for people its events and what follows."""
    if output == "json":
        write_json(found.record())
    elif output != "table":
        emit_records(output, [found.record()])
    else:
        _present(found)


def _present(found: Outcome) -> None:
    name = Text.assemble(plain(found.row.saga_name), " ", (plain(found.row.saga_key), "bold"))
    what = found.what
    if what.startswith("would"):
        appended = f"{found.verb} {what}; it would append:"
        write(Text.assemble(("Dry run: nothing was written. ", "bold yellow"), name, "  ", appended))
    elif what == "queued":
        to = f"worker {found.row.owner}" if found.row.owner else "a worker"
        write(Text.assemble(name, f"  {found.verb} is queued: {plain(to)} takes it when it can"))
    else:
        write(Text.assemble(name, f"  {found.verb} {what}"))
    if found.lines:
        write()
        emit("table", found.lines, COLUMNS, event_record)
    write()
    write_fields(_fields(found))


def _fields(found: Outcome) -> list[tuple[str, object]]:
    before, after = found.before.status, found.after.status
    fields: list[tuple[str, object]] = [("status", after if before == after else f"{after}, before it {before}")]
    if found.to_undo:
        fields.append(("to undo", ", ".join(found.to_undo)))
    if after == "abandoned":
        fields.append(("left as they are", ", ".join(found.left) or "no effects"))
    if found.after.forked_to is not None:
        fields.append(("goes on as", f"saga {found.after.forked_to}"))
    if found.verb == "amend":
        fields.append(("read before by", ", ".join(one.what for one in found.readers) or "nothing that was begun"))
    coming = found.ahead()
    now = found.after.updated
    fields += [("waits for", one.text(now)) for one in coming.waits]
    fields += [("next", text) for text in coming.effects]
    fields.append(("action id", found.action_id))
    return fields


def _write_left(found: Outcome) -> None:
    key = plain(found.row.saga_key)
    if not found.left:
        write(f"{key} ends as it is. It has no effect that could be left.", stream=sys.stderr)
        return
    write(f"{key} ends as it is. These effects are, or may be, left, and nobody undoes them:", stream=sys.stderr)
    columns: tuple[Column[str], ...] = (
        Column("STEP", lambda name: name),
        Column("STATUS", lambda name: status_text(found.after.steps.get(name, UNTOUCHED).action.status)),
        Column("RESULT, OR SAGA", lambda name: _trace_of(found.after, name), narrows="cut"),
    )
    write(table_of(found.left, columns), indent=2, stream=sys.stderr)


def _trace_of(state: SagaState, name: str) -> str:
    step = state.steps.get(name, UNTOUCHED)
    if step.child is not None:
        return f"saga {step.child}, which is abandoned too if it is open"
    return "" if step.result is None else _short(step.result)


def _short(result: Raw) -> str:
    text = bytes(result).decode()
    return text if len(text) <= LONGEST_RESULT else f"{text[: LONGEST_RESULT - 1]}…"


def _write_readers(found: Outcome) -> None:
    key = plain(found.row.saga_key)
    if not found.readers:
        write(f"{key}: nothing that was begun has read the old value.", stream=sys.stderr)
        return
    write(f"{key}: these have read the old value, and what they did with it stays:", stream=sys.stderr)
    write(table_of(found.readers, _READERS), indent=2, stream=sys.stderr)
