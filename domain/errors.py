"""What a service can answer besides a result; it must not know of sagas, only of what was or was not done."""


class ServiceError(Exception):
    """The root of what the services raise: on its own it says nothing of what was done."""


class NotDone(ServiceError):
    """The operation definitely had no effect, and asking again changes nothing."""


class AlreadyUndone(NotDone):
    """An operation is refused: its compensation came first, or has been made since."""


class Unavailable(ServiceError):
    """No answer came: the operation may have had its effect or not."""


class KeyReused(ServiceError):
    """An idempotency key was first used for other content: this is a bug of the caller."""
