"""Somebody's word that it is worth looking now. It saves the wait for the next poll, and nobody relies on it."""

import asyncio


class Hint:
    """A hint for one loop that looks again and again: whoever has news gives it, and the loop waits for it.

    The loop forgets a hint before it looks, not after: what comes while it looks may be what it has not seen.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        """Let the loop look now."""
        self._event.set()

    def forget(self) -> None:
        """Wait for the next one."""
        self._event.clear()

    async def wait(self, poll: float) -> bool:
        """Wait until one is given, or for so many seconds: hints may be lost. Returns whether one was given."""
        return await is_set_within(self._event, poll)


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, for so many seconds at most; returns whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
