"""What may be done about a saga now, as commands to be completed and typed; the kernel says what is allowed."""

from typing import Final

from sagalog.cli import COMMANDS
from sagalog.cli.app import load_app
from sagalog.cli.options import Invocation
from sagalog.cli.words import command_line
from sagalog.clock import SystemClock
from sagalog.errors import SagalogError
from sagalog.saga.actions.rules import what_may_be_done
from sagalog.saga.definition import Definition
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import ENDED

# What a person has to complete, as a usage line has it.
_MORE: Final = {
    "skip": "[--result JSON]",
    "resolve": "(--happened [--result JSON] | --did-not-happen)",
    "amend": "(STEP --result JSON | --input JSON)",
    "reschedule": "(--in DURATION | --at TIME)",
}
_REASON: Final = "--reason ..."


def allowed(invocation: Invocation, state: SagaState, *name: str) -> list[str]:
    """Return a command for each action that the saga allows now; `name` are the words that name it.

    Without the saga's definition only what needs none is known to be allowed, and what the log says of a stuck saga.
    """
    if state.status in ENDED:
        return []
    definition = _definition(invocation, state)
    found = what_may_be_done(definition, state, SystemClock().now())
    if definition is None:
        found = (*state.actions, *(one for one in found if one not in state.actions))
    verbs = [tuple(one.split(" ", 1)) for one in found]
    known = {verb for section in COMMANDS.values() for verb in section}
    return [
        " ".join(filter(None, [command_line(invocation, verb, *name, *step), _MORE.get(verb), _REASON]))
        for verb, *step in verbs
        if verb in known
    ]


def _definition(invocation: Invocation, state: SagaState) -> Definition | None:
    """Return the saga's definition, if there is an app that has it; looking at a saga needs none."""
    try:
        return load_app(invocation).definition(state.saga, state.definition_version, state.digest)
    except SagalogError:
        if invocation.named_app is not None:
            raise
        return None
