"""The tree of causes and effects is built from rows, whatever they say: each row stands in it exactly once."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from sagalog.messages import Envelope
from sagalog.readmodel.trace import Node, Rows, Taken, taken_by, trace, walk
from sagalog.saga import events as e
from sagalog.store import CommandRow, StatusRow
from sagalog.testing.contracts.store.message_samples import command_of, event, unmatched
from sagalog.testing.contracts.store.samples import NOW, start


def saga(saga_id: str, causation_id: str | None = None, **columns: Any) -> StatusRow:
    """Return the row of a saga of this correlation."""
    row = start().status
    return replace(row, saga_id=saga_id, causation_id=causation_id, correlation_id="c-1", started_at=NOW, **columns)


def told(message_id: str, cause: str | None = None, seconds: float = 0, **fields: Any) -> Envelope:
    return event(message_id, causation_id=cause, time=NOW + int(seconds * 1e6), **fields)


def issued(saga_id: str, step: str, seconds: float = 0) -> Envelope:
    """Return the command that a step of a saga sends."""
    return told(
        f"{saga_id}:{step}", saga_id, seconds, kind="command", name=f"Do-{step}", saga_id=saga_id, step=step, source="s"
    )


def numbered(*envelopes: Envelope) -> list[tuple[int, Envelope]]:
    return list(enumerate(envelopes, 1))


def drawn(roots: list[Node]) -> list[str]:
    """Return the tree as indented lines: the kind and the id, and of a step its name."""
    return [
        f"{'  ' * depth}{node.kind} {node.name if node.kind == 'step' else node.id}" for depth, _, node in walk(roots)
    ]


def test_from_the_first_cause_to_the_last_effect() -> None:
    """Invariant 3: a reply hangs under its command, the command under the step that issued it."""
    messages = numbered(
        told("placed"),
        issued("s-1", "reserve", 1),
        told("reserved", "s-1:reserve", 2),
        issued("s-1", "pay", 3),
        told("paid", "s-1:pay", 4),
        told("thanked", "paid", 5),
        told("counted", "placed", 6),
    )
    answered = command_of("s-1", "reserve", status="succeeded", answered_at=NOW + 2_000_000)
    roots = trace(Rows([saga("s-1", "placed")], messages, commands=[answered]))
    assert drawn(roots) == [
        "event placed",
        "  saga s-1",
        "    step reserve",
        "      command s-1:reserve",
        "        event reserved",
        "    step pay",
        "      command s-1:pay",
        "        event paid",
        "          event thanked",
        "  event counted",
    ]
    reserve = roots[0].children[0].children[0].children[0]
    assert (reserve.status, reserve.ended) == ("succeeded", NOW + 2_000_000)


def test_a_saga_that_nobody_caused_is_a_root() -> None:
    assert drawn(trace(Rows([saga("s-1")], numbered(issued("s-1", "pay"))))) == [
        "saga s-1",
        "  step pay",
        "    command s-1:pay",
    ]


def test_a_child_saga_hangs_under_the_step_of_its_parent() -> None:
    """Invariant 28: the child is seen where it was begun."""
    rows = [
        saga("parent"),
        saga("child", "parent", saga_key="parent:pack"),
        saga("again", "parent", saga_key="parent:pack:2"),
        saga("other", "parent", saga_key="a key of its own"),
        saga("stray", "gone", saga_key="gone:pack"),
    ]
    assert drawn(trace(Rows(rows, []))) == [
        "saga parent",
        "  saga other",
        "  step pack",
        "    saga again",
        "    saga child",
        "saga stray",
    ]


def test_what_undoes_a_step_stands_beside_it() -> None:
    """Invariant 11."""
    undoing = told("s-1:pay:undo", "refused", 5, kind="command", saga_id="s-1", step="pay")
    commands = [
        command_of("s-1", "pay"),
        command_of("s-1", "pay", command_id="s-1:pay:undo", direction="compensation"),
    ]
    (root,) = trace(Rows([saga("s-1")], numbered(issued("s-1", "pay", 1), undoing), commands=commands))
    assert [(step.name, step.direction) for step in root.children] == [("pay", "action"), ("pay", "compensation")]


def test_a_command_that_was_sent_again_is_one_and_says_how_often() -> None:
    """Invariant 6."""
    once, again = issued("s-1", "pay", 1), issued("s-1", "pay", 9)
    (root,) = trace(Rows([saga("s-1")], numbered(once, again, again)))
    (command,) = root.children[0].children
    assert (command.sent, command.time) == (3, once.time)


def test_a_choreography_is_a_tree_of_reactions() -> None:
    messages = numbered(told("ordered"), told("reserved", "ordered", 1), told("declined", "reserved", 2))
    late = told("released", "declined", 3)
    assert drawn(trace(Rows([saga("c-1", "ordered")], [*messages, (4, late)]))) == [
        "event ordered",
        "  saga c-1",
        "  event reserved",
        "    event declined",
        "      event released",
    ]


def test_a_cause_that_is_not_there_is_named() -> None:
    """Invariant 4: what comes from elsewhere is a root, and never lost."""
    (one,) = trace(Rows([], numbered(told("reply", "elsewhere"))))
    assert (one.id, one.cause) == ("reply", "elsewhere")


def test_a_command_whose_saga_is_not_there_keeps_its_place() -> None:
    (one,) = trace(Rows([], numbered(issued("gone", "pay"))))
    assert (one.id, one.cause) == ("gone:pay", "gone")


def test_several_first_causes_are_in_the_order_of_time() -> None:
    roots = trace(Rows([saga("s-1")], numbered(told("late", seconds=5), told("early", seconds=-5))))
    assert [root.id for root in roots] == ["early", "s-1", "late"]


def test_messages_that_nobody_took_say_why() -> None:
    """Invariant 4."""
    lost = told("lost")
    rows = [
        unmatched((1, lost), "saga:order", reason="no saga has the key 7"),
        unmatched((1, lost), "participant:mail", reason="ValueError: no", status="discarded"),
        unmatched((2, told("of another")), reason="never shown"),
    ]
    (one,) = trace(Rows([], numbered(lost), unmatched=rows))
    assert one.parked == ["saga:order: no saga has the key 7", "participant:mail: ValueError: no (discarded)"]


def test_causes_that_go_in_a_circle_are_cut_at_the_oldest() -> None:
    circle = [told("a", "c", 3), told("b", "a", 1), told("c", "b", 2), told("self", "self", 4), told("leaf", "c", 5)]
    roots = trace(Rows([], numbered(*circle)))
    assert drawn(roots) == ["event b", "  event c", "    event a", "    event leaf", "event self"]
    assert roots[0].cause == "a"


def test_ten_thousand_links_of_a_chain_are_drawn_without_falling_over() -> None:
    chain = [told(f"m-{n}", None if n == 0 else f"m-{n - 1}", n) for n in range(10_000)]
    random.Random(7).shuffle(chain)
    lines = list(walk(trace(Rows([], numbered(*chain)))))
    assert [(depth, node.id) for depth, _, node in lines] == [(n, f"m-{n}") for n in range(10_000)]


def test_ten_thousand_effects_of_one_cause_are_in_order() -> None:
    fan = [told("m"), *(told(f"m-{n}", "m", n) for n in range(10_000))]
    (root,) = trace(Rows([], numbered(*fan)))
    assert [child.id for child in root.children] == [f"m-{n}" for n in range(10_000)]


IDS = st.sampled_from(["a", "b", "c", "d", "e", "s-1", "s-2", "s-1:pay", "s-1:pay:undo", "s-2:x:action:step", "gone"])


@st.composite
def any_rows(draw: st.DrawFn) -> Rows:
    """Rows that say anything at all of each other."""
    sagas = [saga(name, draw(st.none() | IDS)) for name in draw(st.lists(st.sampled_from(["s-1", "s-2"]), unique=True))]
    messages: list[Envelope] = []
    commands: list[CommandRow] = []
    for message_id in draw(st.lists(IDS, max_size=12)):
        if message_id in ("s-1", "s-2"):
            continue
        kind = draw(st.sampled_from(["event", "command"]))
        who, step = (draw(st.sampled_from(["s-1", "s-2", "gone"])), "pay") if kind == "command" else (None, None)
        messages.append(
            told(message_id, draw(st.none() | IDS), draw(st.integers(-3, 3)), kind=kind, saga_id=who, step=step)
        )
        if kind == "command" and draw(st.booleans()):
            direction = draw(st.sampled_from(["action", "compensation"]))
            commands.append(command_of(who or "", command_id=message_id, direction=direction))
    return Rows(sagas, numbered(*messages), commands=commands)


@given(any_rows())
def test_whatever_the_rows_say_each_is_in_the_tree_once(rows: Rows) -> None:
    nodes = [node for _, _, node in walk(trace(rows))]
    found = [node.id for node in nodes]
    assert len(found) == len(set(found))
    expected = {row.saga_id for row in rows.sagas} | {envelope.id for _, envelope in rows.messages}
    assert expected <= set(found)
    assert {node.id for node in nodes if node.kind != "step"} == expected


# ------------------------------------------------------------------------------------------ what steps waited for


def history(*taken: tuple[str, str | None], kind: Any = "saga") -> list[e.SagaEvent]:
    """Return the events of a saga that took messages, each for a step or for none."""
    begun = e.SagaStarted(
        time=0,
        saga="s",
        version=1,
        digest="d",
        input=Raw(b"{}"),
        key="k",
        correlation_id="c-1",
        message="m-0",
        kind=kind,
    )
    return [
        begun,
        *(
            e.EventReceived(time=1, message=message, name="Paid", data=Raw(b"{}"))
            if step is None
            else e.StepSucceeded(time=1, step=step, began=1, attempt=1, result=Raw(b"{}"), message=message)
            for message, step in taken
        ),
    ]


def test_what_a_saga_took_is_read_from_its_history() -> None:
    assert taken_by("s-1", history(("m-1", None), ("m-2", "pay"), ("m-1", "wait"))) == [
        Taken("s-1", "m-1", "wait"),
        Taken("s-1", "m-2", "pay"),
    ]
    # Nothing of a choreography waits: its effects are told.
    assert taken_by("c-1", history(("m-1", "Paid"), kind="choreography")) == [Taken("c-1", "m-1")]


def test_an_event_of_another_correlation_hangs_under_the_step_that_waited_for_it() -> None:
    paid = replace(told("paid", "the till"), correlation_id="c-2")
    (root,) = trace(Rows([saga("s-1")], [], taken=[Taken("s-1", "paid", "wait", (7, paid))]))
    assert drawn([root]) == ["saga s-1", "  step wait", "    event paid"]
    step = root.children[0]
    assert step.took is step.children[0]
    assert (step.children[0].elsewhere, step.children[0].position) == ("c-2", 7)


def test_an_event_of_this_correlation_stays_where_it_was_caused_and_the_step_names_it() -> None:
    messages = numbered(told("placed"), told("paid", "placed", 1))
    (root,) = trace(Rows([saga("s-1", "placed")], messages, taken=[Taken("s-1", "paid", "wait")]))
    assert drawn([root]) == ["event placed", "  saga s-1", "    step wait", "  event paid"]
    step = next(node for _, _, node in walk([root]) if node.kind == "step")
    assert step.took is not None
    assert step.took.id == "paid"


def test_a_reply_is_not_told_twice() -> None:
    messages = numbered(issued("s-1", "pay"), told("paid", "s-1:pay", 1))
    (root,) = trace(Rows([saga("s-1")], messages, taken=[Taken("s-1", "paid", "pay")]))
    assert drawn([root]) == ["saga s-1", "  step pay", "    command s-1:pay", "      event paid"]
    assert root.children[0].took is None


def test_what_came_for_no_step_hangs_under_the_saga_and_what_is_unknown_nowhere() -> None:
    early = replace(told("early"), correlation_id="c-2")
    taken = [Taken("s-1", "early", None, (3, early)), Taken("s-1", "gone", "wait"), Taken("s-9", "x", "y", (4, early))]
    assert drawn(trace(Rows([saga("s-1")], [], taken=taken))) == ["saga s-1", "  event early"]
