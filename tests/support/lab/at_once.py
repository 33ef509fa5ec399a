"""The port `Blocking` without threads, for parts of the engine that are tested alone."""

from collections.abc import Callable
from typing import Any

from sagalog.errors import StoreUnavailable


class AtOnce:
    """The port `Blocking` that calls at once; a store that is away answers nobody."""

    away = False

    async def write(self, call: Callable[..., Any], *arguments: Any) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return call(*arguments)

    def let_write(self) -> None:
        """Do nothing: there are no threads."""

    async def renew(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await self.write(call, *arguments)

    async def read(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return call(*arguments)

    def handler(self, call: Callable[[], Any]) -> Any:
        raise AssertionError("no handler is called")

    def close(self) -> None:
        return
