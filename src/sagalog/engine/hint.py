"""Hints that a loop should look now. They save the wait for the next poll; correctness never depends on them."""

import asyncio


class Hint:
    """A hint for one polling loop: it can be given from any part of the engine, and the loop waits for it.

    The loop forgets a hint before it looks, not after: what comes while it looks may be what it has not seen.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        """Let the loop look now."""
        self._event.set()

    def forget(self) -> None:
        """Forget hints given until now."""
        self._event.clear()

    async def wait(self, poll: float) -> bool:
        """Wait until a hint is given, for so many seconds at most; return whether one was given."""
        return await is_set_within(self._event, poll)


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, for so many seconds at most; return whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
