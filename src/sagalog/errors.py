"""Every error sagalog raises; each text says what was expected, what was found and what to do.

This module must import nothing of sagalog: everything else may import it.
"""


class SagalogError(Exception):
    """The base of every error of this library."""


class Refused(Exception):
    """Raised in a step, it says: this was definitely not done, and trying again will not help.

    A refused step is never retried and never compensated; the steps before it are undone. Raised in a
    compensation it means that the step cannot be undone: the saga is stuck at once, for a person to decide.
    """


class DefinitionError(SagalogError):
    """A saga is declared wrongly; the text names every mistake found."""


class InvalidRetry(DefinitionError, ValueError):
    """A retry policy makes no sense."""


class MissingKey(SagalogError):
    """A start came without a key, so a repeated start could not be recognised."""


class InvalidInput(SagalogError):
    """What was given to a saga does not fit its declared type."""


class InvalidIdentifier(SagalogError):
    """An id, key or name holds characters that no store can keep, or is too long."""


class PayloadTooLarge(SagalogError):
    """An input or a result is larger than the cap for one payload."""


class UnknownSaga(SagalogError):
    """This process has no saga of that name and version."""


class SagaNotFound(SagalogError):
    """The store has no saga with that id or key."""


class ServiceNotProvided(SagalogError):
    """A step asks for a service that the process manager was not given."""


class InvalidAction(SagalogError):
    """The action is not allowed in the state in which the saga is, or not in a handler."""


class InvalidQuery(SagalogError):
    """What is looked for cannot be there: a status that there is none of, a limit below one, a time that is none."""


class DivergentHistory(SagalogError):
    """A stored history is malformed or says what the definition cannot have said; nothing is appended to it."""


class UnknownTopic(DivergentHistory):
    """An event in the log has a topic that is not in the registry."""


class WaitTimeout(SagalogError, TimeoutError):
    """The time given for waiting is over; the saga goes on all the same."""


class NotRunning(SagalogError):
    """The process manager has not been opened, has been closed, or runs on another event loop."""


class AlreadyRunning(SagalogError):
    """The process manager is open already."""


class StoreError(SagalogError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store did not answer, or cannot be written for now; a write may or may not have landed."""


class StoreReadOnly(StoreUnavailable):
    """The database can be read but not written for now, as while another server takes its place."""


class StoreFull(StoreUnavailable):
    """There is no room left for the database."""


class BatchTooLarge(StoreUnavailable):
    """The database could not do so much at once in its time or memory; less may pass, and so may the same later."""


class RowsLocked(StoreUnavailable):
    """Somebody else has locked rows that were to be written; `sagas` are the ids of those whose rows they are."""

    def __init__(self, text: str, sagas: frozenset[str] = frozenset()) -> None:
        super().__init__(text)
        self.sagas = sagas


class WriteRefused(StoreError):
    """The database does not take this one write, now or later, while it takes others."""


class StoreUnfit(StoreError):
    """The database cannot hold sagas, or the role may not do what is needed; nothing was written."""


class SchemaTooNew(StoreError):
    """The database was made by a newer sagalog."""


class SchemaTooOld(StoreError):
    """The database was made by an older sagalog and has not been upgraded; `found` is the schema that it has."""

    def __init__(self, text: str, found: int = 0) -> None:
        super().__init__(text)
        self.found = found


class SourceUnavailable(SagalogError):
    """The log of an application that is followed cannot be read for now, or is not the one that was read before."""


class TransportUnavailable(SagalogError):
    """The broker did not acknowledge what was sent to it; it may or may not have it, and sending again is safe."""


class InvalidSettings(SagalogError):
    """A setting or a database address cannot be understood, or can never be used."""
