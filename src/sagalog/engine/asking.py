"""Questions of a person or a service to the store. One that takes too long gets an error that says what to do."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from sagalog.engine.blocking import Blocking
from sagalog.errors import BatchTooLarge, StoreUnavailable

Result = TypeVar("Result")


@contextmanager
def as_asked() -> Generator[None]:
    """Raise `StoreUnavailable` for a question that took too long; its text says what to look for."""
    try:
        yield
    except BatchTooLarge as problem:
        raise StoreUnavailable(str(problem)) from None


async def asked(blocking: Blocking, call: Callable[..., Result], *arguments: Any) -> Result:
    """Return what the store answers to a question."""
    with as_asked():
        return await blocking.read(call, *arguments)
