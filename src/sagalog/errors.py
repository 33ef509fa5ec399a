"""Every error sagalog raises; each text says what was expected, what was found and what to do.

This module must import nothing of sagalog: everything else may import it.
"""


class SagalogError(Exception):
    """The base of every error of this library."""


class Refused(Exception):
    """Raise this in a step to say that it was definitely not done, and that trying again will not help.

    A refused step is never retried and never compensated; the steps before it are undone. In a compensation it means
    that the step cannot be undone: the saga is stuck at once, for a person to decide.
    """


class DefinitionError(SagalogError):
    """A saga is declared wrongly; the text names every mistake found."""


class InvalidRetry(DefinitionError, ValueError):
    """The values of a retry policy make no sense."""


class MissingKey(SagalogError):
    """A start came without a key, so a repeated start could not be recognised."""


class InvalidInput(SagalogError):
    """What was given to a saga does not fit its declared type."""


class InvalidIdentifier(SagalogError):
    """An id, key or name holds characters that no store can keep, or is too long."""


class PayloadTooLarge(SagalogError):
    """An input or a result is larger than the size limit of a payload."""


class UnknownSaga(SagalogError):
    """This process has no saga of that name and version."""


class SagaNotFound(SagalogError):
    """The store has no saga with that id or key."""


class ServiceNotProvided(SagalogError):
    """A step asks for a service that the process manager was not given."""


class InvalidAction(SagalogError):
    """The action is not allowed in the present state of the saga, or not inside a handler."""


class SagaBusy(SagalogError):
    """Raised when the worker that owns a saga did not take an action in time; it was taken back, nothing is changed."""


class InvalidQuery(SagalogError):
    """A query asks for what cannot exist: an unknown status, a limit below one, or an invalid time."""


class DivergentHistory(SagalogError):
    """A stored history is malformed, or cannot have been written with the definition; nothing is appended to it."""


class UnknownTopic(DivergentHistory):
    """An event in the log has a topic that is not in the registry."""


class WaitTimeout(SagalogError, TimeoutError):
    """The time given for waiting is over; the saga itself goes on."""


class NotRunning(SagalogError):
    """The process manager has not been opened, has been closed, or runs on another event loop."""


class AlreadyRunning(SagalogError):
    """The process manager is open already."""


class StoreError(SagalogError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store did not answer, or cannot be written for now; the write may or may not have happened."""


class StoreReadOnly(StoreUnavailable):
    """The database can be read but not written for now, for instance during a failover."""


class StoreFull(StoreUnavailable):
    """The database has no space left."""


class BatchTooLarge(StoreUnavailable):
    """The database ran out of time or memory for one large write; a smaller one, or the same one later, may succeed."""


class RowsLocked(StoreUnavailable):
    """Another session has locked rows that were to be written; `sagas` are the ids of the sagas of these rows."""

    def __init__(self, text: str, sagas: frozenset[str] = frozenset()) -> None:
        super().__init__(text)
        self.sagas = sagas


class WriteRefused(StoreError):
    """The database refuses this one write for good, while it accepts others."""


class QueryRefused(StoreError):
    """The database refuses SQL of a user: it is wrong, would do more than read, or was written for other tables."""


class StoreUnfit(StoreError):
    """The database cannot hold sagas, or its role lacks privileges; nothing was written."""


class SchemaTooNew(StoreError):
    """The database was made by a newer sagalog."""


class SchemaTooOld(StoreError):
    """The database was made by an older sagalog and has not been upgraded; `found` is its schema number."""

    def __init__(self, text: str, found: int = 0) -> None:
        super().__init__(text)
        self.found = found


class SourceUnavailable(SagalogError):
    """The log of a followed application cannot be read for now, or is not the one that was read before."""


class TransportUnavailable(SagalogError):
    """The broker did not acknowledge a message; it may or may not have it, and sending it again is safe."""


class InvalidSettings(SagalogError):
    """A setting or an address cannot be understood, or can never work."""
