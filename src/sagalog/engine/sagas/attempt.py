"""One attempt of a handler: its arguments, its time limit, and its outcome. It appends nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from msgspec import Raw

from sagalog.clock import Clock
from sagalog.engine.calls.call import StillOurs, call_handler
from sagalog.engine.calls.call_resources import CallResources
from sagalog.engine.calls.failures import raise_if_no_outcome
from sagalog.engine.carrying import carrying
from sagalog.messages import Message, name_of
from sagalog.saga.attributes import Recorded, brought
from sagalog.saga.binding import Parameter
from sagalog.saga.callables import plain_answer
from sagalog.saga.context import StepContext, Trouble
from sagalog.saga.definition import ChildRule, Definition, Exchange, StepDefinition
from sagalog.saga.events import EMPTY, Direction, ErrorInfo
from sagalog.saga.identifiers import effect_id
from sagalog.saga.inputs import ActionFailed, ActionSucceeded, ChildBegun, RequestMade, Start, UndoFailed, UndoSucceeded
from sagalog.saga.parts import element_of, results_of
from sagalog.saga.progress import deadline_counts
from sagalog.saga.react import CallOff, RunAction, RunCompensation
from sagalog.saga.state import UNTOUCHED, SagaState

# Starts a child saga, or finds the one with its key; returns its id once it is durable.
BeginChild = Callable[[Definition, Start], Awaitable[str]]


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

    async def action(
        self, definition: Definition, saga_id: str, state: SagaState, effect: RunAction, ours: StillOurs
    ) -> ActionSucceeded | ActionFailed | RequestMade | ChildBegun:
        """Make an attempt of a step's action and return its outcome as an input of the kernel.

        For a request the outcome is its command, which the kernel then sends; a command that was sent before is sent
        again. Raises `NotBegun` if the saga is not `ours` any more when the handler is to begin, and `NoThread` if no
        thread is free for it.
        """
        step = definition.steps[effect.step]
        if step.child is not None:
            return await self._child(definition, step, step.child, saga_id, state, effect)
        if step.exchange is not None and (sent := _sent(saga_id, state, effect)) is not None:
            return sent
        began = self._clock.now()
        over = None if step.timeout is None else began + step.timeout
        if state.deadline is not None and (over is None or state.deadline < over):
            over = state.deadline if deadline_counts(definition, state) else over
        try:
            arguments = carrying(self._arguments, definition, step.parameters, saga_id, state, effect, over)
            first = () if step.fan is None else (carrying(element_of, step.fan, state, effect.step),)
            what = f"step {effect.step} of {definition.name}"
            value = await call_handler(
                self._turns, step.handler, step.is_async, first, arguments, began, over, ours, what, self._own_tasks
            )
            if step.exchange is not None:
                made: RequestMade = carrying(_made, step.exchange, saga_id, state, effect, value)
                return made
            result: Raw = carrying(step.result.write, value, f"the result of step {step.name}")
        except (Exception, asyncio.CancelledError) as problem:
            error = self._error(problem, "step", definition, saga_id, state, effect)
            return ActionFailed(effect.step, effect.attempt, began, error, self._clock.chance())
        return ActionSucceeded(effect.step, effect.attempt, began, result)

    async def _child(
        self,
        definition: Definition,
        step: StepDefinition,
        rule: ChildRule,
        saga_id: str,
        state: SagaState,
        effect: RunAction,
    ) -> ActionFailed | ChildBegun:
        """Begin the child saga of a step, or find the one that was begun before."""
        began = self._clock.now()
        try:
            value, data = carrying(self._child_input, definition, step, rule, saga_id, state, effect)
        except Exception as problem:
            # The child's input depends on recorded values only, so it would fail again until the program is changed.
            what, fields = _shown("step", definition, saga_id, state, effect)
            error = self._failures.fault_of(problem, what, "making the child's input", **fields)
            return ActionFailed(effect.step, effect.attempt, began, error, self._clock.chance())
        # What a child is found by must not decide whether its parent can go on: a mistake is recorded in the child.
        found, mistake = brought(rule.definition.attributes, value, rule.definition.redact)
        return await self._begun(rule, saga_id, state, effect.step, data, found, mistake)

    def _child_input(
        self,
        definition: Definition,
        step: StepDefinition,
        rule: ChildRule,
        saga_id: str,
        state: SagaState,
        effect: RunAction,
    ) -> tuple[Any, Raw]:
        if rule.takes_input:
            value = step.handler(definition.input.read(state.input))
        else:
            value = step.handler(**self._arguments(definition, step.parameters, saga_id, state, effect, None))
        value = plain_answer(value, "it")
        return value, rule.definition.input.write(value, f"the input of saga {rule.definition.name}")

    async def call_off(self, definition: Definition, saga_id: str, state: SagaState, effect: CallOff) -> ChildBegun:
        """Find the child saga of a step, or start one that has ended already, so that it cannot begin later."""
        rule = definition.steps[effect.step].child
        assert rule is not None
        return await self._begun(rule, saga_id, state, effect.step, EMPTY, called_off=True)

    async def _begun(
        self,
        rule: ChildRule,
        saga_id: str,
        state: SagaState,
        step: str,
        data: Raw,
        attributes: Recorded | None = None,
        attributes_error: ErrorInfo | None = None,
        called_off: bool = False,
    ) -> ChildBegun:
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
        return ChildBegun(step, number, await self._begin_child(child, start))

    async def compensation(
        self, definition: Definition, saga_id: str, state: SagaState, effect: RunCompensation, ours: StillOurs
    ) -> UndoSucceeded | UndoFailed | RequestMade:
        """Make an attempt of a step's compensation and return its outcome, or its command, as an input of the kernel.

        Raises `NotBegun` or `NoThread` as `action` does.
        """
        step = definition.steps[effect.step]
        undo = step.compensation
        assert undo is not None
        if undo.exchange is not None and (sent := _sent(saga_id, state, effect)) is not None:
            return sent
        began = self._clock.now()
        over = None if undo.timeout is None else began + undo.timeout
        try:
            arguments = carrying(self._arguments, definition, undo.parameters, saga_id, state, effect, over)
            recorded = state.steps[effect.step].result
            result = None if recorded is None else carrying(step.result.read, recorded)
            what = f"the compensation of step {effect.step} of {definition.name}"
            value = await call_handler(
                self._turns, undo.handler, undo.is_async, (result,), arguments, began, over, ours, what, self._own_tasks
            )
            if undo.exchange is not None and value is not None:
                made: RequestMade = carrying(_made, undo.exchange, saga_id, state, effect, value)
                return made
            if value is not None:
                raise TypeError(f"a compensation returns None, found {type(value).__name__}")
        except (Exception, asyncio.CancelledError) as problem:
            error = self._error(problem, "the compensation of step", definition, saga_id, state, effect)
            chance = self._clock.chance()
            return UndoFailed(effect.step, effect.epoch, effect.attempt, began, error, chance)
        return UndoSucceeded(effect.step, effect.epoch, effect.attempt, began)

    def _error(
        self,
        problem: BaseException,
        role: str,
        definition: Definition,
        saga_id: str,
        state: SagaState,
        effect: RunAction | RunCompensation,
    ) -> ErrorInfo:
        """Return what is recorded of an attempt that raised; raises `problem` again if it is no outcome."""
        raise_if_no_outcome(problem)
        what, fields = _shown(role, definition, saga_id, state, effect)
        return self._failures.error_of(problem, what, "StepTimeout", f"step {effect.step}: ", **fields)

    def _arguments(
        self,
        definition: Definition,
        parameters: tuple[Parameter, ...],
        saga_id: str,
        state: SagaState,
        effect: RunAction | RunCompensation,
        over: int | None,
    ) -> dict[str, Any]:
        """Return the handler's arguments, decoded anew for each call: no handler can change them for another."""
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
                value = _context(definition, saga_id, state, effect, over)
            arguments[parameter.name] = value
        return arguments


def _shown(
    role: str, definition: Definition, saga_id: str, state: SagaState, effect: RunAction | RunCompensation
) -> tuple[str, dict[str, Any]]:
    """Return the name of an attempt for the log, and the fields of its record."""
    fields = {
        "saga_id": saga_id,
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
