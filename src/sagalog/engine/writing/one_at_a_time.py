"""Appends that may be asked for again and again while the store is away: at most one is queued for each purpose.

Otherwise a client that tries once a second would queue an append for each second of an outage, all but one in vain.
"""

import asyncio
from functools import partial
from typing import Any

from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.pieces import Then, Written
from sagalog.store import Append, AppendOutcome


class OneAtATime:
    """Queued appends, each for a purpose such as a key; callers get the store's error after their time to wait."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._written: dict[Any, asyncio.Future[AppendOutcome]] = {}

    async def other(self, purpose: object) -> bool:
        """Wait for the append that is queued for the same purpose, if there is one; return whether there was.

        Raises what it raises.
        """
        written = self._written.get(purpose)
        if written is None:
            return False
        await self._committer.beside(written)
        return True

    async def submit(self, purpose: object, append: Append, then: Then | None) -> AppendOutcome:
        """Submit an append, if no other one is queued for the same purpose, and return its outcome."""
        assert purpose not in self._written
        written = self._committer.submit_urgent(append, partial(self._is_over, purpose, then))
        self._written[purpose] = written
        return await self._committer.beside(written)

    def _is_over(self, purpose: object, then: Then | None, written: Written) -> None:
        self._written.pop(purpose, None)
        if then is not None:
            then(written)
