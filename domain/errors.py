"""What a service can answer besides a result; it must not know of sagas, only of what was or was not done."""


class ServiceError(Exception):
    """Be the root of what the services raise: on its own it says nothing of what was done."""


class NotDone(ServiceError):
    """Say that the operation definitely had no effect and that asking again changes nothing."""


class AlreadyUndone(NotDone):
    """Refuse an operation whose compensation came first, or has been made since."""


class Unavailable(ServiceError):
    """Say that no answer came: the operation may have had its effect or not."""


class KeyReused(ServiceError):
    """Refuse an idempotency key that was first used for other content: this is a bug of the caller."""
