"""What comes of a participant's message and cannot be written: tried again with pauses, then parked with the reason."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from lab.lab import Lab, Process, in_lab

from sagalog import Event, Participant
from sagalog.engine.bus.participants import MOST_TRIES
from sagalog.errors import StoreError, StoreUnavailable, WriteRefused
from sagalog.store import Posting, PostOutcome, Store
from sagalog.stores.memory.store import MemoryStore

Refuses = Callable[[Posting], Exception | None]


class Asked(Event):
    number: int


class Answered(Event):
    number: int


class Desk:
    """A participant that answers, and what it was called with and when, in seconds."""

    def __init__(self, lab: Lab) -> None:
        self.calls: list[tuple[int, float]] = []
        self.participant = Participant("desk")

        @self.participant.on
        async def answer(event: Asked) -> Answered:
            self.calls.append((event.number, lab.world.loop.time()))
            return Answered(number=event.number)

        assert answer.__name__ == "answer"

    def times(self, number: int) -> list[float]:
        return [at for called, at in self.calls if called == number]


def refusing(refuses: Refuses) -> Callable[[Store], Store]:
    """Return what lets a store refuse postings."""

    def wrap(store: Store) -> Store:
        post = store.post

        def refused(postings: Sequence[Posting]) -> list[PostOutcome]:
            for posting in postings:
                if (problem := refuses(posting)) is not None:
                    raise problem
            return post(postings)

        store.post = refused  # type: ignore[method-assign]
        return store

    return wrap


def answers(posting: Posting, number: int) -> bool:
    return any(one.name == "Answered" and f":{number}}}" in bytes(one.data).decode() for one in posting.messages)


async def asked(process: Process, number: int, correlation_id: str | None = None) -> None:
    await process.do(process.manager.publish(Asked(number=number), id=f"asked-{number}", correlation_id=correlation_id))


@pytest.mark.parametrize("problem", [WriteRefused("é cannot be written"), MemoryError("no room")], ids=repr)
def test_an_answer_that_the_store_refuses_parks_its_message_and_holds_up_no_other(
    each_database: str | Store, problem: Exception
) -> None:
    """It was handled again without a pause: thousands of calls a second, without end."""

    async def story(lab: Lab) -> None:
        desk = Desk(lab)
        refusal: list[Exception] = [problem]
        wrap = refusing(lambda posting: refusal[0] if refusal and answers(posting, 1) else None)
        process = await lab.begin(participants=[desk.participant], wrap=wrap)
        await asked(process, 1, "lane")
        await asked(process, 2, "lane")
        await asked(process, 3)
        await lab.until(lambda: bool(desk.times(3)))
        while not (rows := await process.do(process.manager.unmatched())):
            await lab.sleep(0.1)
        [row] = rows
        assert (row.consumer, row.message_id) == ("participant:desk", "asked-1")
        assert f"what came of it could not be written, {MOST_TRIES} times: WriteRefused: " in row.reason
        assert str(problem) in row.reason
        assert len(desk.times(1)) == MOST_TRIES
        pauses = [later - before for before, later in zip(desk.times(1), desk.times(1)[1:], strict=False)]
        assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8, 1.6), strict=True))
        await lab.sleep(30)
        assert len(desk.times(1)) == MOST_TRIES
        # Its lane waits for a person.
        assert desk.times(2) == []
        refusal.clear()
        await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="there is room"))
        await lab.until(lambda: bool(desk.times(2)))
        assert await process.do(process.manager.unmatched()) == []

    in_lab(each_database, story)


@pytest.mark.parametrize("kind", [StoreUnavailable, StoreError])
def test_while_the_store_is_away_nothing_is_parked_however_often_it_was_tried(
    each_database: str | Store, kind: type[StoreError]
) -> None:
    async def story(lab: Lab) -> None:
        desk = Desk(lab)
        away = True
        wrap = refusing(lambda posting: kind("away") if away and answers(posting, 1) else None)
        process = await lab.begin(participants=[desk.participant], wrap=wrap)
        await asked(process, 1)
        await lab.sleep(120)
        assert await process.do(process.manager.unmatched()) == []
        away = False
        await lab.until(lambda: any(one.name == "Answered" for _, one in lab.stores[0].read_messages(0, 100)))

    in_lab(each_database, story)


def test_a_text_that_the_store_refuses_does_not_keep_its_message_from_being_parked(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        desk = Desk(lab)

        def refuses(posting: Posting) -> Exception | None:
            text = posting.parked.reason if posting.parked is not None else ""
            return WriteRefused("é") if answers(posting, 1) or "é" in text else None

        process = await lab.begin(participants=[desk.participant], wrap=refusing(refuses))
        await asked(process, 1)
        while not (rows := await process.do(process.manager.unmatched())):
            await lab.sleep(0.1)
        assert rows[0].reason.endswith("5 times: WriteRefused: the store refuses what it says")

    in_lab(each_database, story)


def test_what_can_be_neither_handled_nor_parked_is_tried_seldom_and_goes_on_when_it_can(
    each_database: str | Store,
) -> None:
    async def story(lab: Lab) -> None:
        desk = Desk(lab)
        refused: list[bool] = [True]
        wrap = refusing(
            lambda posting: (
                WriteRefused("no") if refused and (answers(posting, 1) or posting.parked is not None) else None
            )
        )
        process = await lab.begin(participants=[desk.participant], wrap=wrap)
        await asked(process, 1)
        await lab.sleep(600)
        assert MOST_TRIES < len(desk.times(1)) < 40
        # As it is handled again: a moment later it would be parked, since that can be written now.
        times = len(desk.times(1))
        await lab.until(lambda: len(desk.times(1)) > times)
        refused.clear()
        await lab.until(lambda: any(one.name == "Answered" for _, one in lab.stores[0].read_messages(0, 100)))
        assert await process.do(process.manager.unmatched()) == []

    in_lab(each_database, story)


def test_an_inbox_that_cannot_be_read_is_looked_into_with_longer_and_longer_pauses() -> None:
    async def story(lab: Lab) -> None:
        desk = Desk(lab)
        reads: list[float] = []
        broken = True

        def wrap(store: Store) -> Store:
            inbox = store.inbox

            def read(*arguments: Any) -> Any:
                reads.append(lab.world.loop.time())
                if broken:
                    raise RuntimeError("a row that nobody can read")
                return inbox(*arguments)

            store.inbox = read  # type: ignore[method-assign,assignment]
            return store

        process = await lab.begin(participants=[desk.participant], wrap=wrap)
        await asked(process, 1)
        await lab.sleep(60)
        assert 30 <= len(reads) < 60
        broken = False
        await lab.until(lambda: bool(desk.times(1)))

    in_lab(MemoryStore(), story)
