"""A checked choreography: the definition of a process that nobody runs, with a contract instead of steps."""

from collections.abc import Callable, Mapping
from typing import Any

from sagalog.saga.choreography.contract import Contract
from sagalog.saga.definition import AttributeSource, Definition
from sagalog.saga.events import ActionTaken, EventReceived, StepSucceeded


class ChoreographyDefinition(Definition, frozen=True, kw_only=True):
    """The definition of a choreography. It has no steps to run; its `contract` says how a process is judged.

    `attributes_of` finds attributes in events, by their names.
    """

    contract: Contract
    attributes_of: Mapping[str, Callable[[Any], Any]] = {}

    def attribute_source(self, event: StepSucceeded | EventReceived | ActionTaken) -> AttributeSource | None:
        """Return how attributes are found in an event of the process; None if they are not."""
        if isinstance(event, ActionTaken):
            return None
        if isinstance(event, StepSucceeded):
            name, data = self.contract.effect_of(event.step), event.result
        else:
            name, data = event.name, event.data
        find = self.attributes_of.get(name)
        return None if find is None else (find, self.contract.events[name], data)
