"""What is asked of a saga before that is looked at: it is made complete for each saga, whose types check its value."""

from collections.abc import Callable
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from sagalog.saga.actions.check import check_act, value_for
from sagalog.saga.definition import Definition
from sagalog.saga.events import EMPTY
from sagalog.saga.inputs import Act
from sagalog.saga.state import SagaState

# Makes an action complete for the saga as it is, once its definition is known; raises for what makes no sense.
Completed = Callable[[Definition | None, SagaState], Act]


class Asking(Struct, frozen=True, omit_defaults=True):
    """What is asked of many sagas: an action, and the result for it as JSON, if one `is_given`."""

    act: Act
    given: Raw = EMPTY
    is_given: bool = False


def completed(act: Act, given: Any, is_given: bool) -> Completed:
    """Return the function that makes an action complete for a saga, with a result or an input, if one `is_given`.

    That function raises what `check_act` and `value_for` raise.
    """

    def complete(definition: Definition | None, state: SagaState) -> Act:
        check_act(definition, state, act)
        return replace(act, value=value_for(definition, state, act, given, is_given))

    return complete
