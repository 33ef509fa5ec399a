"""`sagalog show --trace`: the tree of causes and effects around a saga, for people and for machines; it only reads."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace
from rich.text import Text
from rich.tree import Tree

from sagalog.cli.output import emit_records, note, write
from sagalog.cli.quantities import duration, moment, since
from sagalog.cli.table import plain, status_text
from sagalog.codec import CODEC
from sagalog.readmodel.trace import Node, Rows, Taken, taken_by, trace, walk
from sagalog.store import StatusRow, Store, UnmatchedQuery, UnmatchedRow

# A deeper tree does not fit a terminal: deeper nodes are drawn at this depth, with their real depth as text.
DEEPEST = 24
PAGE = 500
SETTLED_OR_NOT = ()


def present_trace(output: str, store: Store, row: StatusRow) -> None:
    """Write the causes and effects of a saga."""
    roots = trace(rows_of(store, row.correlation_id))
    if output != "table":
        emit_records(output, list(_records(roots)))
        return
    write(_tree(roots, row))
    number = sum(1 for _ in walk(roots))
    note(f"{number:,} causes and effects; times are since the first one")


def tree_around(store: Store, row: StatusRow) -> Tree:
    """Return the causes and effects of a saga as a tree to be written."""
    return _tree(trace(rows_of(store, row.correlation_id)), row)


def _tree(roots: Sequence[Node], row: StatusRow) -> Tree:
    start = min((root.time for root in roots), default=row.started_at)
    title = Text.assemble(("correlation ", "dim"), plain(row.correlation_id), ("  from ", "dim"), moment(start))
    return tree_of(roots, start, row.saga_id, title)


def rows_of(store: Store, correlation_id: str) -> Rows:
    """Read everything that belongs to one correlation id."""
    sagas = store.sagas_by_correlation(None, [correlation_id])
    return Rows(
        sagas=sagas,
        messages=store.messages_of([correlation_id]),
        steps=[step for saga in sagas for step in store.steps(saga.saga_id)],
        commands=[command for saga in sagas for command in store.commands_of(saga.saga_id)],
        unmatched=list(_unmatched(store, correlation_id)),
        taken=list(_taken(store, correlation_id, [saga.saga_id for saga in sagas])),
    )


def _taken(store: Store, correlation_id: str, saga_ids: Sequence[str]) -> Iterator[Taken]:
    """Yield what the sagas took, with those messages that have another correlation id."""
    for saga_id, stored in store.read_many(saga_ids).items():
        for one in taken_by(saga_id, CODEC.decode_all((event.topic, event.state) for event in stored)):
            found = store.find_message(one.message_id)
            is_foreign = found is not None and found[1].correlation_id != correlation_id
            yield replace(one, message=found) if is_foreign else one


def _unmatched(store: Store, correlation_id: str) -> Iterator[UnmatchedRow]:
    before: str | None = None
    while True:
        query = UnmatchedQuery(statuses=SETTLED_OR_NOT, correlation_id=correlation_id, before=before, limit=PAGE)
        page = store.unmatched(query)
        yield from page
        if len(page) < PAGE:
            return
        before = page[-1].unmatched_id


def tree_of(roots: Sequence[Node], start: int, asked: str | None, title: Text) -> Tree:
    """Return the tree as it is drawn; `asked` is the requested saga, `start` the time to count from."""
    drawn = Tree(title, guide_style="dim")
    places: list[Tree] = [drawn]
    for depth, _, node in walk(roots):
        shown = min(depth, DEEPEST)
        del places[shown + 1 :]
        label = _label(node, start, asked)
        if depth > DEEPEST:
            label = Text.assemble((f"[level {depth}] ", "dim"), label)
        places.append(places[shown].add(label))
    return drawn


def _label(node: Node, start: int, asked: str | None) -> Text:
    text = Text()
    if node.kind == "step":
        text.append("undo " if node.direction == "compensation" else "step ", style="dim")
        text.append(plain(node.name))
    else:
        text.append(f"{node.kind} ", style="dim")
        text.append(plain(node.name), style="bold reverse" if node.id == asked else "bold")
    if node.key is not None:
        text.append(f" {plain(node.key)}")
    if node.status is not None:
        text.append("  ")
        text.append_text(status_text(node.status))
    if node.kind == "event":
        text.append(f"  from {plain(node.source)}", style="dim")
    if node.took is not None:
        text.append(f"  took event {plain(node.took.name)} {plain(node.took.id)}", style="dim")
    if node.elsewhere is not None:
        text.append(f"  of correlation {plain(node.elsewhere)}", style="dim")
    if node.sent > 1:
        text.append(f"  sent {node.sent} times", style="yellow")
    text.append(f"  {since(node.time - start)}", style="dim")
    if node.ended is not None:
        text.append(f", took {duration(node.ended - node.time)}", style="dim")
    if node.cause is not None:
        text.append(f"  caused by {plain(node.cause)}", style="dim")
    for reason in node.parked:
        text.append(f"\nnot taken by {plain(reason)}", style="red")
    return text


def _records(roots: Sequence[Node]) -> Iterator[dict[str, Any]]:
    """Yield each node with its depth and its parent, in the order of the tree."""
    for depth, parent, node in walk(roots):
        yield {
            "depth": depth,
            "parent": None if parent is None else parent.id,
            "kind": node.kind,
            "id": node.id,
            "name": node.name,
            "key": node.key,
            "status": node.status,
            "direction": node.direction if node.kind in ("step", "command") else None,
            "source": node.source,
            "time": moment(node.time, "microseconds"),
            "ended": None if node.ended is None else moment(node.ended, "microseconds"),
            "sent": node.sent if node.kind == "command" else None,
            "took": None if node.took is None else node.took.id,
            "correlation_elsewhere": node.elsewhere,
            "cause_elsewhere": node.cause,
            "not_taken": node.parked,
        }
