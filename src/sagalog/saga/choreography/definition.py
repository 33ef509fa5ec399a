"""A checked choreography: the definition of a process that nobody runs, with its contract in the place of steps."""

from sagalog.saga.choreography.contract import Contract
from sagalog.saga.definition import Definition


class ChoreographyDefinition(Definition, frozen=True, kw_only=True):
    """The definition of a choreography. It has no steps to run: what becomes of a process its `contract` says."""

    contract: Contract
