"""Histories that cannot be: refused with what is wrong, and never appended to. And those of yesterday: upcast."""

import msgspec
import pytest
from kernel.stories import Plan, began, did, failed, line, saga_of
from msgspec import Raw
from msgspec.structs import replace

from sagalog.codec import CODEC, Codec
from sagalog.errors import DivergentHistory, UnknownTopic
from sagalog.saga import events as e
from sagalog.saga.children.notes import CHILD_STUCK
from sagalog.saga.evolve import fold
from sagalog.saga.redecide import first_divergence
from sagalog.saga.upcast import Body, TopicRegistry
from sagalog.testing.kernel import START, given


def completed() -> list[e.SagaEvent]:
    saga = line("a", "b")
    story = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    return story.when(did("b")).then(e.StepSucceeded, e.SagaCompleted).events


def rolled_back() -> list[e.SagaEvent]:
    saga = line("a", "b")
    story = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    return story.when(failed("b", "refused")).then(e.StepFailed, e.CompensationStarted).events


def undone(step: str) -> e.StepCompensated:
    return e.StepCompensated(time=START, step=step, began=START)


@pytest.mark.parametrize(
    ("history", "found"),
    [
        ([], "no event at all"),
        (completed()[1:], "StepSucceeded"),
        ([*completed(), completed()[1]], "StepSucceeded"),
        ([completed()[0], *completed()], "SagaStarted"),
        ([*completed()[:2], completed()[1]], "step a has succeeded already"),
        ([*completed()[:2], undone("a")], "StepCompensated"),
        ([*rolled_back(), undone("b")], "step b is not to be undone"),
        ([*rolled_back(), undone("zzz")], "step zzz is not to be undone"),
        ([*rolled_back(), undone("a"), undone("a")], "step a is not to be undone"),
        ([*rolled_back(), rolled_back()[2]], "step b is refused already"),
        ([*completed()[:2], e.StepSkipped(time=START, step="a")], "step a has been begun"),
    ],
)
def test_a_history_that_cannot_be_is_refused_with_what_is_wrong(history: list[e.SagaEvent], found: str) -> None:
    """Invariant 40."""
    with pytest.raises(DivergentHistory, match=found):
        fold(history)


def received(message: str, name: str = "Told", data: bytes = b"{}") -> e.EventReceived:
    return e.EventReceived(time=START, message=message, name=name, data=Raw(data), kept=True)


def test_a_note_that_is_none_is_refused_as_part_of_a_history() -> None:
    """Invariant 40."""
    for data in (b"{}", b"[1]", b'{"step": 1}', b"null"):
        with pytest.raises(DivergentHistory, match="its data are no note of a child"):
            fold([completed()[0], received("m", CHILD_STUCK, data)])


@pytest.mark.parametrize("field", ["plan", "waived"])
def test_a_choreography_cannot_undo_what_was_never_told(field: str) -> None:
    """Invariant 40."""
    start = completed()[0]
    assert isinstance(start, e.SagaStarted)
    cause = e.ErrorInfo("X", "x")
    undoing = replace(e.CompensationStarted(time=START, cause=cause, plan=()), **{field: ("Nobody",)})
    with pytest.raises(DivergentHistory, match="effect Nobody has not been told"):
        fold([replace(start, kind="choreography"), received("1"), received("2"), undoing])


def test_a_parents_step_is_no_part_of_ones_own() -> None:
    """A child whose own step has the name of its parent's, with parts, is undone all the same."""
    start = completed()[0]
    fanned = e.StepFannedOut(time=START, step="b", elements=(Raw(b"1"), Raw(b"2")))
    asked = e.UndoAsked(time=START, message="m", parent="parent", step="b[1]")
    assert fold([start, fanned, asked]).undo_asked


def test_a_definition_that_was_changed_is_told_with_the_position_of_the_first_difference() -> None:
    """Invariants 39 and 40."""
    events = completed()
    longer = line("a", "b", "c").definition
    found = first_divergence(longer, events)
    assert found is not None
    assert (found.version, type(found.recorded)) == (4, e.SagaCompleted)
    shorter = first_divergence(line("a").definition, events)
    assert shorter is not None
    assert shorter.version == 3
    renamed = first_divergence(line("x", "b").definition, events)
    assert renamed is not None
    assert renamed.version == 2
    assert "expected a step of saga letters" in (renamed.problem or "")


def test_a_history_cut_off_at_any_version_does_not_diverge() -> None:
    """Invariant 39."""
    definition = line("a", "b").definition
    for events in (completed(), rolled_back()):
        for length in range(1, len(events) + 1):
            assert first_divergence(definition, events[:length]) is None


def test_an_event_that_was_changed_diverges() -> None:
    """Invariant 40."""
    saga = saga_of([Plan("a")], [Plan("b", attempts=1)])
    story = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    events = story.when(failed("b")).then(e.StepFailed, e.CompensationStarted).events
    started = events[3]
    assert isinstance(started, e.CompensationStarted)
    for changed in (replace(started, plan=("a",)), replace(started, plan=("a", "b")), replace(started, waived=("a",))):
        found = first_divergence(saga.definition, [*events[:3], changed])
        assert found is not None
        assert (found.version, found.decided) == (4, started)


def test_what_can_only_follow_is_told_when_it_comes_first() -> None:
    found = first_divergence(line("a", "b").definition, [completed()[0], completed()[3]])
    assert found is not None
    assert "only follows another event" in (found.problem or "")


@pytest.mark.parametrize("event", [*completed(), *rolled_back()])
def test_an_event_comes_back_from_storage_as_it_was(event: e.SagaEvent) -> None:
    topic, state = CODEC.encode(event)
    assert CODEC.decode(topic, state) == event
    assert CODEC.encode(CODEC.decode(topic, state)) == (topic, state)


@pytest.mark.parametrize("topic", ["sagalog.SagaStarted.2", "os.system", "", "sagalog.saga.events:SagaStarted"])
def test_an_unknown_topic_is_refused_and_nothing_is_imported(topic: str) -> None:
    """Invariant 40."""
    with pytest.raises(UnknownTopic, match="expected a registered topic"):
        CODEC.decode(topic, b"{}")


@pytest.mark.parametrize("state", [b"", b"{", b"[]", b'{"time": "noon"}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_the_topics_is_refused(state: bytes) -> None:
    """Invariant 40."""
    with pytest.raises(DivergentHistory):
        CODEC.decode("sagalog.StepSkipped.1", state)


def test_an_older_topic_is_upcast_through_every_step_of_its_chain() -> None:
    topics = TopicRegistry()

    def rename(body: Body) -> Body:
        body["step"] = body.pop("name")
        return body

    def in_microseconds(body: Body) -> Body:
        return body | {"time": body["time"] * 1_000_000}

    topics.register_upcaster("sagalog.StepSkipped.0", in_microseconds, "sagalog.StepSkipped.1")
    topics.register_upcaster("sagalog.StepSkipped.beta", rename, "sagalog.StepSkipped.0")
    codec = Codec(topics)
    old = msgspec.json.encode({"time": 7, "name": "wrap"})
    assert codec.decode("sagalog.StepSkipped.beta", old) == e.StepSkipped(time=7_000_000, step="wrap")
    with pytest.raises(UnknownTopic):
        CODEC.decode("sagalog.StepSkipped.beta", old)


def test_an_upcaster_for_a_current_topic_or_in_a_circle_is_refused() -> None:
    topics = TopicRegistry()
    with pytest.raises(ValueError, match="current topic"):
        topics.register_upcaster("sagalog.StepSkipped.1", lambda body: body, "x")
    topics.register_upcaster("a", lambda body: body, "b")
    with pytest.raises(ValueError, match="circle"):
        topics.register_upcaster("b", lambda body: body, "a")
