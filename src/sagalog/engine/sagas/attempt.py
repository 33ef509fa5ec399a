"""One attempt of a handler: its arguments, its time limit, and its outcome. It appends and awaits nothing."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, cast

from msgspec import Raw, Struct

from sagalog.clock import Clock
from sagalog.engine.calls.call import Call, NotBegun, StillOurs, Stopped, UnderWay, begin_call
from sagalog.engine.calls.call_resources import CallResources
from sagalog.engine.calls.failures import raise_if_no_outcome
from sagalog.engine.carrying import carried, carrying
from sagalog.engine.ending import end_patiently
from sagalog.engine.sagas.agenda import Attempted
from sagalog.messages import Message, name_of
from sagalog.saga.attributes import Recorded, brought
from sagalog.saga.binding import Parameter
from sagalog.saga.callables import plain_answer
from sagalog.saga.context import StepContext, Trouble
from sagalog.saga.definition import ChildRule, CompensationDefinition, Definition, Exchange, StepDefinition
from sagalog.saga.events import EMPTY, Direction, ErrorInfo
from sagalog.saga.identifiers import effect_id
from sagalog.saga.inputs import ActionFailed, ActionSucceeded, ChildBegun, RequestMade, Start, UndoFailed, UndoSucceeded
from sagalog.saga.parts import element_of, results_of
from sagalog.saga.progress import deadline_counts
from sagalog.saga.react import CallOff, RunAction, RunCompensation
from sagalog.saga.state import UNTOUCHED, SagaState

# What an attempt ends with.
Outcome = ActionSucceeded | ActionFailed | UndoSucceeded | UndoFailed | RequestMade | ChildBegun
AttemptEnded = Callable[[Outcome | None, BaseException | None], None]
# Starts a child saga, or finds the one with its key; returns its id once it is durable. If it is started, the function
# is called with its id at once, so that its parent goes on in the same pass.
BeginChild = Callable[[Definition, Start, Callable[[str], None]], Coroutine[Any, Any, str]]


class Attempt(Struct, frozen=True, eq=False, gc=False):
    """One attempt, from when it `began`, in microseconds since the epoch."""

    definition: Definition
    step: StepDefinition
    saga_id: str
    state: SagaState
    effect: RunAction | RunCompensation
    began: int


class Attempts:
    """Makes the attempts of one process manager.

    `definitions` are those by which it runs sagas, by digest. `begin_child` starts those that are steps.
    """

    def __init__(
        self,
        resources: CallResources,
        clock: Clock,
        definitions: Mapping[str, Definition],
        begin_child: BeginChild,
    ) -> None:
        self._services = resources.services
        self._clock = clock
        self._turns = resources.turns
        self._failures = resources.failures
        self._own_tasks = resources.own_tasks
        self._definitions = definitions
        self._begin_child = begin_child

    def begin(
        self,
        definition: Definition,
        saga_id: str,
        state: SagaState,
        effect: Attempted,
        ours: StillOurs,
    ) -> "Outcome | AttemptUnderWay":
        """Begin an attempt of a step's action or compensation, or the call to its child.

        Returns its outcome, which is an input of the kernel, if it has ended already; otherwise what is under way.

        For a request the outcome is its command, which the kernel then sends; a command that was sent before is sent
        again. Raises `NotBegun` if the saga is not `ours` any more when the handler is to begin, and `NoThread` if no
        thread is free for it.
        """
        step = definition.steps[effect.step]
        if (step.child is not None or step.exchange is not None) and not ours():
            # Where a handler is called, that is checked just before, perhaps in its thread.
            raise NotBegun
        if isinstance(effect, CallOff):
            return self._call_off(step, saga_id, state)
        if step.child is not None and isinstance(effect, RunAction):
            return self._child(definition, step, step.child, saga_id, state, effect)
        undo = None if isinstance(effect, RunAction) else step.compensation
        exchange = step.exchange if undo is None else undo.exchange
        if exchange is not None and (sent := _sent(saga_id, state, effect)) is not None:
            return sent
        began = self._clock.now()
        attempt = Attempt(definition, step, saga_id, state, effect, began)
        try:
            call, value = self._call(attempt, ours) if undo is None else self._undo(attempt, undo, ours)
        except BaseException as problem:
            return self.failure(attempt, carried(problem))
        return self.outcome(attempt, value) if call is None else Called(self, attempt, call)

    def _call(self, attempt: Attempt, ours: StillOurs) -> tuple[UnderWay | None, Any]:
        """Call the action of a step."""
        definition, step, state = attempt.definition, attempt.step, attempt.state
        over = None if step.timeout is None else attempt.began + step.timeout
        if state.deadline is not None and (over is None or state.deadline < over):
            over = state.deadline if deadline_counts(definition, state) else over
        arguments = self._arguments(attempt, step.parameters, over)
        first = () if step.fan is None else (element_of(step.fan, state, attempt.effect.step),)
        what = f"step {attempt.effect.step} of {definition.name}"
        call = Call(step.handler, step.is_async, first, arguments, attempt.began, over, ours, what)
        return begin_call(self._turns, self._own_tasks, call)

    def _undo(self, attempt: Attempt, undo: CompensationDefinition, ours: StillOurs) -> tuple[UnderWay | None, Any]:
        """Call the compensation of a step."""
        step, effect = attempt.step, attempt.effect
        over = None if undo.timeout is None else attempt.began + undo.timeout
        arguments = self._arguments(attempt, undo.parameters, over)
        recorded = attempt.state.steps[effect.step].result
        result = None if recorded is None else step.result.read(recorded)
        what = f"the compensation of step {effect.step} of {attempt.definition.name}"
        call = Call(undo.handler, undo.is_async, (result,), arguments, attempt.began, over, ours, what)
        return begin_call(self._turns, self._own_tasks, call)

    def outcome(self, attempt: Attempt, value: Any) -> Outcome:
        """Return the outcome of an attempt whose handler has returned."""
        step, effect, began = attempt.step, attempt.effect, attempt.began
        try:
            if isinstance(effect, RunAction):
                if step.exchange is None:
                    result = step.result.write(value, f"the result of step {step.name}")
                    return ActionSucceeded(effect.step, effect.attempt, began, result)
                return _made(step.exchange, attempt.saga_id, attempt.state, effect, value)
            exchange = None if step.compensation is None else step.compensation.exchange
            if exchange is not None and value is not None:
                return _made(exchange, attempt.saga_id, attempt.state, effect, value)
            if value is not None:
                raise TypeError(f"a compensation returns None, found {type(value).__name__}")
        except BaseException as problem:
            return self.failure(attempt, carried(problem))
        return UndoSucceeded(effect.step, effect.epoch, effect.attempt, began)

    def failure(self, attempt: Attempt, problem: BaseException) -> ActionFailed | UndoFailed:
        """Return the outcome of an attempt that raised; raises `problem` again if it is no outcome."""
        raise_if_no_outcome(problem)
        effect, began = attempt.effect, attempt.began
        if isinstance(effect, RunAction):
            error = self._error(problem, "step", attempt)
            return ActionFailed(effect.step, effect.attempt, began, error, self._clock.chance())
        error = self._error(problem, "the compensation of step", attempt)
        return UndoFailed(effect.step, effect.epoch, effect.attempt, began, error, self._clock.chance())

    def _error(self, problem: BaseException, role: str, attempt: Attempt) -> ErrorInfo:
        what, fields = _shown(role, attempt)
        return self._failures.error_of(problem, what, "StepTimeout", f"step {attempt.effect.step}: ", **fields)

    def _child(
        self,
        definition: Definition,
        step: StepDefinition,
        rule: ChildRule,
        saga_id: str,
        state: SagaState,
        effect: RunAction,
    ) -> "Outcome | AttemptUnderWay":
        """Begin the child saga of a step, or find the one that was begun before."""
        attempt = Attempt(definition, step, saga_id, state, effect, self._clock.now())
        try:
            value, data = carrying(self._child_input, attempt, rule)
        except Exception as problem:
            # The child's input depends on recorded values only, so it would fail again until the program is changed.
            what, fields = _shown("step", attempt)
            error = self._failures.fault_of(problem, what, "making the child's input", **fields)
            return ActionFailed(effect.step, effect.attempt, attempt.began, error, self._clock.chance())
        # What a child is found by must not decide whether its parent can go on: a mistake is recorded in the child.
        found, mistake = brought(rule.definition.attributes, value, rule.definition.redact)
        return self._asked(rule, saga_id, state, effect.step, data, found, mistake)

    def _child_input(self, attempt: Attempt, rule: ChildRule) -> tuple[Any, Raw]:
        step = attempt.step
        if rule.takes_input:
            value = step.handler(attempt.definition.input.read(attempt.state.input))
        else:
            value = step.handler(**self._arguments(attempt, step.parameters, None))
        value = plain_answer(value, "it")
        return value, rule.definition.input.write(value, f"the input of saga {rule.definition.name}")

    def _call_off(self, step: StepDefinition, saga_id: str, state: SagaState) -> "Asked":
        """Find the child saga of a step, or start one that has ended already, so that it cannot begin later."""
        assert step.child is not None
        return self._asked(step.child, saga_id, state, step.name, EMPTY, called_off=True)

    def _asked(
        self,
        rule: ChildRule,
        saga_id: str,
        state: SagaState,
        step: str,
        data: Raw,
        attributes: Recorded | None = None,
        attributes_error: ErrorInfo | None = None,
        called_off: bool = False,
    ) -> "Asked":
        number = state.steps.get(step, UNTOUCHED).action.round
        start = Start(
            effect_id(saga_id, step, "action", number, state.marked),
            data,
            1,
            state.correlation_id,
            saga_id,
            parent=saga_id,
            parent_step=step,
            parent_round=number,
            called_off=called_off,
            attributes=attributes or {},
            attributes_error=attributes_error,
        )
        child = self._definitions.get(rule.definition.digest, rule.definition)
        return Asked(partial(self._begin_child, child, start), partial(ChildBegun, step, number))

    def _arguments(self, attempt: Attempt, parameters: tuple[Parameter, ...], over: int | None) -> dict[str, Any]:
        """Return the handler's arguments, decoded anew for each call: no handler can change them for another."""
        definition, state, effect = attempt.definition, attempt.state, attempt.effect
        arguments: dict[str, Any] = {}
        for parameter in parameters:
            source = parameter.source
            if source == "input":
                value = definition.input.read(state.input)
            elif source == "result":
                declared = definition.steps[parameter.key]
                before = state.steps.get(parameter.key)
                recorded = None if before is None else before.result
                if declared.fan is not None:
                    value = results_of(definition, state, parameter.key)
                else:
                    value = None if recorded is None else declared.result.read(recorded)
            elif source == "element":
                fan = definition.steps[effect.step].fan
                assert fan is not None
                value = element_of(fan, state, effect.step)
            elif source == "service":
                value = self._services[parameter.key]
            else:
                value = _context(definition, attempt.saga_id, state, effect, over)
            arguments[parameter.name] = value
        return arguments


class Called:
    """A handler that takes its time."""

    __slots__ = ("_attempt", "_attempts", "_call")

    def __init__(self, attempts: Attempts, attempt: Attempt, call: UnderWay) -> None:
        self._attempts = attempts
        self._attempt = attempt
        self._call = call

    def when_ended(self, ended: AttemptEnded) -> None:
        """Call `ended` once, with the outcome; or with what was raised, if there is none."""
        self._call.when_ended(partial(self._has_ended, ended))

    def end(self) -> None:
        """Cancel the handler, if it can be."""
        self._call.end()

    def _has_ended(self, ended: AttemptEnded, value: Any, problem: BaseException | None) -> None:
        attempts, attempt = self._attempts, self._attempt
        try:
            outcome = attempts.outcome(attempt, value) if problem is None else attempts.failure(attempt, problem)
        except (Exception, asyncio.CancelledError) as no_outcome:
            ended(None, no_outcome)
        else:
            ended(outcome, None)


class Asked:
    """The start of a child saga, which the engine itself asks the store for in a task of its own."""

    __slots__ = ("_ended", "_outcome", "_task")

    def __init__(
        self,
        begin: Callable[[Callable[[str], None]], Coroutine[Any, Any, str]],
        outcome: Callable[[str], ChildBegun],
    ) -> None:
        self._outcome = outcome
        self._ended: AttemptEnded | None = None
        self._task = asyncio.get_running_loop().create_task(begin(self._has_begun))

    def when_ended(self, ended: AttemptEnded) -> None:
        """Call `ended` once, with the outcome; or with what was raised, if there is none."""
        self._ended = ended
        self._task.add_done_callback(self._has_ended)

    def end(self) -> None:
        """Ask no more."""
        end_patiently(self._task)

    def _has_begun(self, child_id: str) -> None:
        self._tell(self._outcome(child_id), None)

    def _has_ended(self, task: "asyncio.Task[str]") -> None:
        if task.cancelled():
            # Whoever cancelled it: nothing is known, and it is asked for again.
            self._tell(None, Stopped())
        elif (problem := task.exception()) is not None:
            self._tell(None, problem)
        else:
            self._has_begun(task.result())

    def _tell(self, outcome: Outcome | None, problem: BaseException | None) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(outcome, problem)


AttemptUnderWay = Called | Asked


def _shown(role: str, attempt: Attempt) -> tuple[str, dict[str, Any]]:
    """Return the name of an attempt for the log, and the fields of its record."""
    definition, state, effect = attempt.definition, attempt.state, attempt.effect
    fields = {
        "saga_id": attempt.saga_id,
        "saga_name": definition.name,
        "saga_key": state.key,
        "step": effect.step,
        "attempt": effect.attempt,
        "correlation_id": state.correlation_id,
    }
    return f"{role} {effect.step} of {definition.name} {state.key}, attempt {effect.attempt},", fields


def _sent(saga_id: str, state: SagaState, effect: RunAction | RunCompensation) -> RequestMade | None:
    """Return the command to send again after no reply came: the same bytes under the same id."""
    command_id = effect_key(saga_id, state, effect)
    before = state.commands.get(command_id)
    if before is None or before.data is None:
        return None
    return RequestMade(
        effect.step, before.direction, before.round, effect.attempt, command_id, before.name, before.data
    )


def _made(
    exchange: Exchange, saga_id: str, state: SagaState, effect: RunAction | RunCompensation, value: Any
) -> RequestMade:
    kind = cast("type[Message]", type(value))
    payload = exchange.commands.get(kind)
    if payload is None:
        expected = " or ".join(one.__name__ for one in exchange.commands)
        raise TypeError(f"step {effect.step}: expected the command {expected}, found {kind.__name__}")
    data = payload.write(value, f"the command of step {effect.step}")
    direction: Direction = "action" if isinstance(effect, RunAction) else "compensation"
    number = state.steps.get(effect.step, UNTOUCHED).side(direction).round
    command_id = effect_id(saga_id, effect.step, direction, number, state.marked)
    return RequestMade(effect.step, direction, number, effect.attempt, command_id, name_of(kind), data)


def _context(
    definition: Definition,
    saga_id: str,
    state: SagaState,
    effect: RunAction | RunCompensation,
    over: int | None,
) -> StepContext:
    return StepContext(
        saga_id=saga_id,
        saga_name=definition.name,
        key=state.key,
        correlation_id=state.correlation_id,
        causation_id=state.causation_id,
        step=effect.step,
        attempt=effect.attempt,
        idempotency_key=effect_key(saga_id, state, effect),
        deadline_us=over,
        cause=None if isinstance(effect, RunAction) else _told(state.cause),
    )


def _told(cause: ErrorInfo | None) -> Trouble | None:
    return None if cause is None else Trouble(cause.type, cause.message, cause.kind, cause.step)


def effect_key(saga_id: str, state: SagaState, effect: RunAction | RunCompensation) -> str:
    """Return the identity of an effect; a new round of a request has another one."""
    here = state.steps.get(effect.step, UNTOUCHED)
    if isinstance(effect, RunAction):
        return effect_id(saga_id, effect.step, "action", here.action.round, state.marked)
    # Without a command, epoch and round are equal.
    return effect_id(saga_id, effect.step, "compensation", max(effect.epoch, here.undo.round), state.marked)
