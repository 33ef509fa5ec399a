"""A checked choreography: the definition of a process that nobody runs, with a contract instead of steps."""

from sagalog.saga.choreography.contract import Contract
from sagalog.saga.definition import Definition


class ChoreographyDefinition(Definition, frozen=True, kw_only=True):
    """The definition of a choreography. It has no steps to run; its `contract` says how a process is judged."""

    contract: Contract
