"""Invariant 36: what is too large to be read in time is read in pieces, and holds up nobody else meanwhile."""

import pytest
from lab.lab import Lab, in_lab
from servers.slow_link import SECONDS, Big, Small, link, published, takes

from sagalog.store import Store


@pytest.mark.parametrize("at_once", [1, 5])
def test_a_page_that_is_too_large_is_read_in_pieces(each_database: str | Store, at_once: int) -> None:
    seen, asked = list[int](), list[int]()
    blocking = link(1_100 * at_once, {"page"}, asked)

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        await published(client, *(Big(number=number) for number in range(80)))
        await lab.begin(participants=[takes(Big, seen, "big")], blocking=blocking)
        await lab.until(lambda: len(seen) == 80, 100)
        assert sorted(seen) == list(range(80))

    in_lab(each_database, story)
    assert sum(size > 1_100 * at_once for size in asked) < len(asked) / 2


def test_an_inbox_of_which_a_page_is_too_large_is_read_in_pieces(each_database: str | Store) -> None:
    seen = list[int]()

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        await published(client, *(Big(number=number) for number in range(40)))
        await lab.begin(participants=[takes(Big, seen, "big")], blocking=link(3_300, {"inbox"}, []))
        await lab.until(lambda: len(seen) == 40, 100)

    in_lab(each_database, story)


def test_while_one_consumer_reads_what_is_too_large_the_others_go_on(each_database: str | Store) -> None:
    seen, others, late = list[int](), list[int](), list[float]()
    blocking = link(1_100, {"page"}, [])

    async def story(lab: Lab) -> None:
        ahead = await lab.begin(participants=[takes(Small, others, "small")])
        await published(ahead, *(Big(number=number) for number in range(80)), Small(number=0))
        await lab.until(lambda: others == [0])
        await ahead.stop()
        both = [takes(Big, seen, "big"), takes(Small, others, "small")]
        process = await lab.begin(participants=both, blocking=blocking)
        # The first read of those that went together.
        await lab.sleep(SECONDS + 1)
        for number in range(1, 15):
            began = lab.now()
            await published(process, Small(number=number))
            while number not in others:
                await lab.sleep(0.01)
            late.append(lab.now() - began)
        assert max(late) < 1
        await lab.until(lambda: len(seen) == 80)

    in_lab(each_database, story)
