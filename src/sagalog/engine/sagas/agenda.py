"""Which effects of a saga are to be begun now, and when to look again. It begins nothing.

It is pure but for the clock, which is asked only if it matters.
"""

from collections.abc import Container

from msgspec import Struct

from sagalog.clock import Clock
from sagalog.saga.events import error_from
from sagalog.saga.inputs import ActionFailed, DeadlineReached, Input, TimerFired
from sagalog.saga.react import AwaitEnd, CallOff, Effect, RunAction, RunCompensation, Wait, WatchDeadline

# Effects that take their time, and end with something to tell.
Attempted = RunAction | RunCompensation | CallOff
# Which attempts are under way: the kind of the effect, and its step.
UnderWay = Container[tuple[type, str]]


# What can wait for a time, and does if it names one.
IDLE = (RunAction, RunCompensation, WatchDeadline)


class Agenda(Struct, frozen=True):
    """The effects to begin now, an input that is known already and comes first, and when to look again."""

    ready: list[Attempted]
    known: Input | None = None
    wake_at: int | None = None


def only_action(effects: list[Effect], clock: Clock) -> RunAction | None:
    """Return the action to run if it is the only thing to do now, as nearly always; otherwise None."""
    if not effects:
        return None
    first = effects[0]
    if type(first) is not RunAction or first.at:
        return None
    if len(effects) == 1:
        return first
    second = effects[1]
    return first if len(effects) == 2 and type(second) is WatchDeadline and clock.now() < second.at else None


def idle_until(effects: list[Effect]) -> int:
    """Return until when nothing is to be done, if the saga waits for nothing but time; else 0."""
    until = 0
    for effect in effects:
        if not isinstance(effect, IDLE) or not effect.at:
            return 0
        until = min(until, effect.at) if until else effect.at
    return until


def agenda_of(effects: list[Effect], clock: Clock, under_way: UnderWay, in_doubt: Container[str]) -> Agenda:
    """Return what is to be done now; effects that are `under_way` are not begun again.

    `in_doubt` are the steps that somebody may have begun.
    """
    now = clock.now()
    ready, wake_at = list[Attempted](), None
    for effect in effects:
        if isinstance(effect, Attempted):
            if (type(effect), effect.step) in under_way or (RunAction, effect.step) in under_way:
                continue
            at = effect.at
            if at <= now:
                ready.append(effect)
                continue
        elif isinstance(effect, AwaitEnd):
            if (RunAction, effect.step) not in under_way:
                return Agenda([], _ended(effect, in_doubt))
            continue
        elif isinstance(effect, Wait):
            if effect.until is None:
                continue
            at = effect.until
            if now >= at:
                return Agenda([], TimerFired(effect.step, effect.direction, effect.attempt, clock.chance()))
        else:
            at = effect.at
            if now >= at:
                return Agenda([], DeadlineReached())
        wake_at = at if wake_at is None else min(wake_at, at)
    return Agenda(ready, None, wake_at)


def _ended(effect: AwaitEnd, in_doubt: Container[str]) -> ActionFailed:
    """Return the end of an attempt that is waited for and not under way here: it was lost, or there was none."""
    if effect.attempt == 1 and effect.step not in in_doubt:
        text = "the saga was rolled back before it was begun"
        return ActionFailed(effect.step, 1, None, error_from("refused", "NotBegun", text))
    text = "it was under way when its process ended, or was given up before its next attempt"
    return ActionFailed(effect.step, max(1, effect.attempt - 1), None, error_from("lost", "AttemptLost", text))
