"""The list of sagas that something has happened to: each has one turn, in order, and the event loop is not kept."""

import asyncio
import contextvars

import pytest

from sagalog.engine.sagas.news import LONGEST_PASS, News
from sagalog.engine.writing.pieces import Outcome

INSIDE = contextvars.ContextVar("INSIDE", default=False)


class Saga:
    """A driver that notes its turns, and has news for others in them."""

    def __init__(self, name: str, turns: list[str], then: "list[Saga] | None" = None, news: News | None = None) -> None:
        self.name = name
        self.has_news = False
        self._turns = turns
        self._then = then or []
        self._news = news

    def go_on(self) -> None:
        self._turns.append(self.name)
        then, self._then = self._then, []
        for one in then:
            assert self._news is not None
            self._news.add(one)


def test_each_saga_has_one_turn_however_often_it_has_news_and_in_the_order_of_its_first() -> None:
    async def test() -> list[str]:
        turns: list[str] = []
        news = News(contextvars.copy_context())
        first, second = Saga("first", turns), Saga("second", turns)
        for one in (first, second, first, second):
            news.add(one)
        assert turns == []
        await asyncio.sleep(0)
        return turns

    assert asyncio.run(test()) == ["first", "second"]


def test_news_in_a_pass_belong_to_it_also_for_the_saga_whose_turn_it_is() -> None:
    async def test() -> list[str]:
        turns: list[str] = []
        news = News(contextvars.copy_context())
        second = Saga("second", turns)
        first = Saga("first", turns, [second], news)
        first._then.append(first)
        news.add(first)
        news.take()
        return turns

    assert asyncio.run(test()) == ["first", "second", "first"]


def test_a_pass_that_takes_long_lets_the_event_loop_turn_to_others() -> None:
    async def test() -> list[str]:
        turns: list[str] = []
        loop = asyncio.get_running_loop()
        news = News(contextvars.copy_context())
        time, real = [loop.time()], loop.time

        class Slow(Saga):
            def go_on(self) -> None:
                super().go_on()
                time[0] += LONGEST_PASS * 0.6

        loop.time = lambda: time[0]  # type: ignore[method-assign]
        try:
            for number in range(5):
                news.add(Slow(f"saga {number}", turns))
            for _ in range(3):
                await asyncio.sleep(0)
                turns.append("others")
        finally:
            loop.time = real  # type: ignore[method-assign]
        return turns

    assert asyncio.run(test()) == ["saga 0", "saga 1", "others", "saga 2", "saga 3", "others", "saga 4", "others"]


def test_outcomes_of_writes_are_told_before_sagas_go_on_and_belong_to_the_pass() -> None:
    async def test() -> list[str]:
        turns: list[str] = []
        news = News(contextvars.copy_context())
        news.add(Saga("first", turns))
        second = Saga("second", turns)

        def told(outcome: Outcome) -> None:
            turns.append(f"told {outcome}")
            news.add(second)

        news.tell([(told, "written")])
        assert turns == []
        await asyncio.sleep(0)
        return turns

    assert asyncio.run(test()) == ["told written", "first", "second"]


def test_a_pass_ends_also_among_outcomes_that_take_long() -> None:
    async def test() -> list[str]:
        turns: list[str] = []
        loop = asyncio.get_running_loop()
        news = News(contextvars.copy_context())
        time, real = [loop.time()], loop.time

        def told(outcome: Outcome) -> None:
            turns.append(str(outcome))
            time[0] += LONGEST_PASS * 0.6

        loop.time = lambda: time[0]  # type: ignore[method-assign]
        try:
            news.tell((told, f"outcome {number}") for number in range(3))
            for _ in range(2):
                await asyncio.sleep(0)
                turns.append("others")
        finally:
            loop.time = real  # type: ignore[method-assign]
        return turns

    assert asyncio.run(test()) == ["outcome 0", "outcome 1", "others", "outcome 2", "others"]


def test_a_pass_that_is_interrupted_goes_on_with_the_rest_and_with_whoever_was_interrupted() -> None:
    async def test() -> list[str]:
        turns: list[str] = []
        news = News(contextvars.copy_context())

        class Interrupted(Saga):
            def go_on(self) -> None:
                super().go_on()
                if turns == ["first"]:
                    raise KeyboardInterrupt

        news.add(Interrupted("first", turns))
        news.add(Saga("second", turns))
        with pytest.raises(KeyboardInterrupt):
            news.take()
        await asyncio.sleep(0)
        return turns

    assert asyncio.run(test()) == ["first", "second", "first"]


def test_passes_run_in_the_context_they_were_given_whoever_has_news() -> None:
    async def test() -> list[bool]:
        seen: list[bool] = []

        class Looking(Saga):
            def go_on(self) -> None:
                seen.append(INSIDE.get())

        context = contextvars.copy_context()
        context.run(INSIDE.set, True)
        news = News(context)
        news.add(Looking("first", []))
        await asyncio.sleep(0)
        news.add(Looking("second", []))
        news.take()
        return seen

    assert asyncio.run(test()) == [True, True]
