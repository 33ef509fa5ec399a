"""How long a sign of life has to be gone before a lease is over."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from sagalog.engine.sagas.life_watch import LONGEST_PAUSE, LifeWatch, is_gone, this_host
from sagalog.store import HeldLease, SilentWorker

POLL = 0.1


def silent(worker_id: str = "w1", until: int = 10, *, is_sure: bool = False) -> SilentWorker:
    return SilentWorker(HeldLease(worker_id, until, 10), "shop", 7, is_sure)


class Watch(LifeWatch):
    """A watch whose looks are answered at once."""

    def looks(self, silent: Sequence[SilentWorker], at: float) -> list[HeldLease]:
        return self.over(silent, at, at)


def watch(*gone: int) -> Watch:
    """Return a watch for which these processes are not there any more."""
    return Watch(POLL, lambda host, pid: host == "shop" and pid in gone)


def test_a_sign_has_to_be_gone_in_three_looks() -> None:
    one = watch()
    assert [one.looks([silent()], looked) for looked in (1.0, 1.1)] == [[], []]
    assert one.looks([silent()], 1.2) == [silent().lease]


def test_many_looks_in_a_moment_are_not_enough() -> None:
    one = watch()
    assert not any(one.looks([silent()], 1.0 + number / 1000) for number in range(20))
    assert one.looks([silent()], 1.2) == [silent().lease]


def test_a_sign_that_came_back_has_to_be_gone_for_as_long_again() -> None:
    one = watch()
    one.looks([silent()], 1.0)
    one.looks([silent()], 1.1)
    one.looks([], 1.2)
    assert one.looks([silent()], 1.3) == []
    assert one.looks([silent()], 1.4) == []
    assert one.looks([silent()], 1.5) == [silent().lease]


def test_a_lease_that_was_renewed_meanwhile_is_of_somebody_who_lives() -> None:
    one = watch()
    one.looks([silent()], 1.0)
    one.looks([silent()], 1.1)
    assert one.looks([silent(until=11)], 1.2) == []
    assert one.looks([silent(until=11)], 1.3) == []
    assert one.looks([silent(until=11)], 1.4) == [silent(until=11).lease]


def test_whoever_stood_still_itself_begins_to_look_anew() -> None:
    """The machine was asleep, or the database away: nobody had the time to show another sign."""
    one = watch()
    one.looks([silent()], 1.0)
    one.looks([silent()], 1.1)
    later = 1.1 + LONGEST_PAUSE + 0.01
    assert one.looks([silent()], later) == []


def test_how_long_looks_take_counts_for_nobody() -> None:
    """Who has just been silent when the first one was answered, may have shown a sign when the last one was asked."""
    one = watch()
    assert one.over([silent()], 1.0, 1.4) == []
    assert one.over([silent()], 1.4, 1.45) == []
    assert one.over([silent()], 1.55, 2.0) == []
    assert one.over([silent()], 2.0, 2.0) == [silent().lease]


def test_whoever_lost_its_own_sign_counts_anew_once_it_has_another() -> None:
    """A server that was started again has ended all sessions, and those who take another lock do so one by one."""
    one = watch()
    for asked in (1.0, 1.1):
        one.looks([silent()], asked)
    assert [one.over([silent()], asked, asked, 1.15) for asked in (1.2, 1.3)] == [[], []]
    assert one.over([silent()], 1.4, 1.4, 1.15) == [silent().lease]


@pytest.mark.parametrize(
    ("one", "gone"),
    [(silent(is_sure=True), ()), (silent(), (7,))],
    ids=["a lock on a file", "its process is not there"],
)
def test_where_it_is_sure_that_the_process_is_gone_nobody_waits(one: SilentWorker, gone: tuple[int, ...]) -> None:
    assert watch(*gone).looks([one], 1.0) == [one.lease]


def test_of_several_each_is_judged_by_itself() -> None:
    one = watch()
    one.looks([silent("w1")], 1.0)
    one.looks([silent("w1"), silent("w2")], 1.1)
    assert one.looks([silent("w1"), silent("w2")], 1.2) == [silent("w1").lease]
    assert one.looks([silent("w2")], 1.3) == [silent("w2").lease]


def test_it_is_news_that_somebody_is_silent_no_longer() -> None:
    """Another worker may have ended the lease, and then what else was owned under it is free."""
    one = watch()
    news: list[bool] = []
    for looked, workers in ((1.0, ("w1", "w2")), (1.1, ("w2",)), (1.2, ("w2",))):
        one.looks([silent(worker) for worker in workers], looked)
        news.append(one.has_news)
    assert news == [False, True, False]


def test_a_process_is_gone_if_it_was_of_this_machine_and_is_not_there() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_gone(this_host(), process.pid) is False
        assert is_gone("another", process.pid) is False
    assert is_gone(this_host(), process.pid) is True
    assert is_gone("another", process.pid) is False


@pytest.mark.parametrize("pid", [0, -1, 2**80])
def test_a_number_that_no_process_has_says_nothing(pid: int) -> None:
    assert is_gone(this_host(), pid) is False


def test_this_process_is_there() -> None:
    assert is_gone(this_host(), os.getpid()) is False
