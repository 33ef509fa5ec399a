"""Sagas on which people act: where they stand, and what they refuse."""

from typing import Any

from kernel.stories import Plan, did, failed, saga_of, start

from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.react import Effect, WatchDeadline
from sagalog.testing.kernel import Given


def effects(story: Given) -> list[Effect]:
    return [effect for effect in story.effects if not isinstance(effect, WatchDeadline)]


def refused(story: Given, asked: i.Act, why: str, now: int | None = None) -> e.ActionRefused:
    """Expect a refusal and nothing else, and return it."""
    (event,) = story.when(asked, now).then(e.ActionRefused).events[-1:]
    assert isinstance(event, e.ActionRefused)
    assert why in event.why, event.why
    return event


def waiting() -> Given:
    """Go to where a saga waits for its event, its first step done."""
    saga = saga_of([Plan("a")], [Plan("b", kind="wait")], [Plan("c")])
    return start(saga).when(did("a")).then(e.StepSucceeded, e.StepWaiting)


def stuck(**options: Any) -> Given:
    """Go to where a saga is stuck at its second step, by a mistake in the program."""
    saga = saga_of([Plan("a")], [Plan("b", **options)], [Plan("c")])
    return start(saga).when(did("a")).then(e.StepSucceeded).when(failed("b", "fault")).then(e.StepFailed, e.SagaStuck)
