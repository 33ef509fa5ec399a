"""Questions of a person or a service to the store. One that takes too long gets an error that says what to do."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from sagalog.engine.blocking import Blocking
from sagalog.errors import BatchTooLarge, StoreUnavailable

Result = TypeVar("Result")


@contextmanager
def as_asked() -> Generator[None]:
    """Raise `StoreUnavailable` instead of `BatchTooLarge`: a query is no batch that could be made smaller."""
    try:
        yield
    except BatchTooLarge as problem:
        raise StoreUnavailable(str(problem)) from None


async def asked(blocking: Blocking, call: Callable[..., Result], *arguments: Any) -> Result:
    """Return the store's answer to a query; raises `StoreUnavailable` if it took too long."""
    with as_asked():
        return await blocking.read(call, *arguments)
