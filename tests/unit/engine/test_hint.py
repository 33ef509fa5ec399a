"""A hint saves the wait for the next poll; whoever gets none looks all the same."""

import asyncio

from sagalog.engine.hint import Hint


def test_a_hint_that_is_given_before_or_while_somebody_waits_ends_the_wait() -> None:
    async def test() -> list[bool]:
        hint = Hint()
        hint.give()
        before = await hint.wait(60)
        hint.forget()
        asyncio.get_running_loop().call_soon(hint.give)
        return [before, await hint.wait(60)]

    assert asyncio.run(test()) == [True, True]


def test_without_a_hint_the_poll_ends_the_wait() -> None:
    assert asyncio.run(Hint().wait(0.001)) is False
