"""Builds a tree from rows: what caused what, over all sagas and messages of one correlation id. Pure.

A message is below its cause, a command below the step that sent it, that step below its saga, and a saga below the
message that started it, or below its parent saga. A step that took an event says so. An event from another correlation
is below the step or saga that took it. A node whose cause is missing is a root and says so. Each row is in the tree
exactly once, even with invalid data: a circle of causes is cut at its oldest member.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from sagalog.messages import Envelope, Unreadable
from sagalog.saga import events as e
from sagalog.store import CommandRow, StatusRow, StepRow, UnmatchedRow

Kind = Literal["saga", "step", "command", "event"]
Steps = dict[tuple[str, str, str], StepRow]


class Node(Struct):
    """One cause or effect. Times are in microseconds since the epoch.

    `status` is that of a saga, a step or a command, or "unreadable"; `source` is who published an event. `cause` is the
    id of a cause that is not in the tree. `sent` counts how often a command was sent. `parked` says who could not take
    it, and why. `took` is the event that a step waited for. `elsewhere` is the correlation id of a message that has
    another one than the tree.
    """

    kind: Kind
    id: str
    name: str
    time: int
    position: int = 0
    key: str | None = None
    status: str | None = None
    source: str | None = None
    ended: int | None = None
    direction: str = "action"
    sent: int = 1
    cause: str | None = None
    parked: list[str] = []
    took: "Node | None" = None
    elsewhere: str | None = None
    children: "list[Node]" = []


class Taken(Struct, frozen=True):
    """A message that a saga took, and the step it was for; `message` is set if it has another correlation id."""

    saga_id: str
    message_id: str
    step: str | None = None
    message: tuple[int, Envelope] | None = None


class Rows(Struct, frozen=True):
    """The rows that a trace is built from."""

    sagas: Sequence[StatusRow]
    messages: Sequence[tuple[int, Envelope]]
    steps: Sequence[StepRow] = ()
    commands: Sequence[CommandRow] = ()
    unmatched: Sequence[UnmatchedRow] = ()
    taken: Sequence[Taken] = ()


def taken_by(saga_id: str, events: Iterable[e.SagaEvent]) -> list[Taken]:
    """Return the messages that a saga took, according to its history, with the step that took each, if any."""
    steps: dict[str, str | None] = {}
    by_steps = True
    for event in events:
        if isinstance(event, e.SagaStarted):
            # In a choreography steps are effects that events report; no step waited for them.
            by_steps = event.kind == "saga"
            continue
        message: str | None = getattr(event, "message", None)
        if message is not None:
            steps[message] = steps.get(message)
            if by_steps and isinstance(event, e.StepSucceeded | e.StepFailed):
                steps[message] = event.step
    return [Taken(saga_id, message, step) for message, step in steps.items()]


def trace(rows: Rows) -> list[Node]:
    """Return the first causes, oldest first, each with everything it led to."""
    nodes, causes = _nodes(rows)
    _add_taken(rows, nodes, causes, _add_steps(rows, nodes, causes))
    _park(rows.unmatched, nodes)
    return _hung_up(nodes, causes)


def walk(roots: Sequence[Node]) -> Iterator[tuple[int, Node | None, Node]]:
    """Yield (depth, parent, node) from top to bottom of the tree, for any depth."""
    waiting: list[tuple[int, Node | None, Node]] = [(0, None, root) for root in reversed(roots)]
    while waiting:
        depth, parent, node = waiting.pop()
        yield depth, parent, node
        waiting += [(depth + 1, node, child) for child in reversed(node.children)]


def _nodes(rows: Rows) -> tuple[dict[str, Node], dict[str, str]]:
    """Return a node for each saga and message, by id, and the id of each node's cause."""
    nodes: dict[str, Node] = {}
    causes: dict[str, str] = {}
    issued = {command.command_id: command for command in rows.commands}
    for saga in rows.sagas:
        nodes[saga.saga_id] = Node(
            kind="saga",
            id=saga.saga_id,
            name=saga.saga_name,
            time=saga.started_at,
            position=saga.position,
            key=saga.saga_key,
            status=saga.status,
            ended=saga.ended_at,
        )
        if saga.causation_id is not None:
            causes[saga.saga_id] = saga.causation_id
    for position, envelope in rows.messages:
        known = nodes.get(envelope.id)
        if known is not None:
            # The same command, sent again.
            known.sent += 1
            continue
        node = nodes[envelope.id] = _message(position, envelope)
        command = issued.get(envelope.id)
        if command is not None:
            node.status, node.ended = command.status, command.answered_at
            node.direction = command.direction
        if isinstance(envelope, Unreadable):
            node.status = "unreadable"
        if envelope.causation_id is not None:
            causes[envelope.id] = envelope.causation_id
    return nodes, causes


def _message(position: int, envelope: Envelope) -> Node:
    return Node(
        kind="command" if envelope.kind == "command" else "event",
        id=envelope.id,
        name=envelope.name,
        time=envelope.time,
        position=position,
        source=envelope.source,
    )


def _add_steps(rows: Rows, nodes: dict[str, Node], causes: dict[str, str]) -> Steps:
    """Insert a node for each step that sent a command, or is a child saga, between that and its saga."""
    known = {(step.saga_id, step.undoes or step.step, step.direction): step for step in rows.steps}
    for _, envelope in rows.messages:
        if envelope.saga_id in nodes and envelope.step is not None and nodes[envelope.id].kind == "command":
            direction = nodes[envelope.id].direction
            causes[envelope.id] = _step(nodes, causes, known, envelope.saga_id, envelope.step, direction, envelope.time)
    for saga in rows.sagas:
        # A child's key is the id that a command of its step would have.
        parent, _, step = saga.saga_key.partition(":")
        if step and parent == saga.causation_id and parent in nodes:
            causes[saga.saga_id] = _step(
                nodes, causes, known, parent, step.partition(":")[0], "action", saga.started_at
            )
    return known


def _add_taken(rows: Rows, nodes: dict[str, Node], causes: dict[str, str], known: Steps) -> None:
    """Show at each step which event it took, and place events of other correlations below it."""
    for one in rows.taken:
        if one.saga_id not in nodes:
            continue
        node = nodes.get(one.message_id)
        if node is None and one.message is not None:
            position, envelope = one.message
            node = nodes[envelope.id] = _message(position, envelope)
            node.elsewhere = envelope.correlation_id
            if envelope.causation_id in nodes:
                causes[envelope.id] = envelope.causation_id
        if node is None:
            continue
        place = one.saga_id
        if one.step is not None and causes.get(causes.get(node.id, "")) != _place(one.saga_id, one.step, "action"):
            # A reply is already below its command, and so below the step.
            place = _step(nodes, causes, known, one.saga_id, one.step, "action", node.time)
            nodes[place].took = node
        if node.elsewhere is not None:
            causes.setdefault(node.id, place)


def _step(
    nodes: dict[str, Node],
    causes: dict[str, str],
    known: Steps,
    saga_id: str,
    step: str,
    direction: str,
    time: int,
) -> str:
    """Return the id of a step's node, creating the node if it does not exist."""
    place = _place(saga_id, step, direction)
    if place not in nodes:
        row = known.get((saga_id, step, direction))
        began = time if row is None or row.started_at is None else min(time, row.started_at)
        nodes[place] = Node(
            kind="step",
            id=place,
            name=step,
            time=began,
            status=None if row is None else row.status,
            ended=None if row is None else row.ended_at,
            direction=direction,
        )
        causes[place] = saga_id
    return place


def _place(saga_id: str, step: str, direction: str) -> str:
    return f"{saga_id}:{step}:{direction}:step"


def _park(unmatched: Sequence[UnmatchedRow], nodes: dict[str, Node]) -> None:
    for row in unmatched:
        if row.message_id in nodes:
            settled = "" if row.status == "parked" else f" ({row.status})"
            nodes[row.message_id].parked.append(f"{row.consumer}: {row.reason}{settled}")


def _hung_up(nodes: dict[str, Node], causes: dict[str, str]) -> list[Node]:
    """Place each node below its cause and return those that have none."""
    cut = _circles(nodes, causes)
    roots: list[Node] = []
    for node_id, node in nodes.items():
        cause = causes.get(node_id)
        if cause is None or cause not in nodes or node_id in cut:
            # A saga without a cause names itself.
            node.cause = None if cause == node_id else cause
            roots.append(node)
        else:
            nodes[cause].children.append(node)
    for node in nodes.values():
        node.children.sort(key=_age)
    return sorted(roots, key=_age)


def _circles(nodes: dict[str, Node], causes: dict[str, str]) -> set[str]:
    """Return the oldest member of each circle of causes; only invalid data has circles."""
    done: set[str] = set()
    cut: set[str] = set()
    for first in nodes:
        path: dict[str, None] = {}
        here: str | None = first
        while here is not None and here in nodes and here not in done and here not in path:
            path[here] = None
            here = causes.get(here)
        if here in path:
            members = list(path)[list(path).index(here) :]
            cut.add(min(members, key=lambda member: _age(nodes[member])))
        done.update(path)
    return cut


def _age(node: Node) -> tuple[int, int, str]:
    return node.time, node.position, node.id
