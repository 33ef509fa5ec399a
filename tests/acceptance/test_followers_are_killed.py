"""Processes that follow an application are killed in the middle, again and again: every event is told exactly once."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random, SystemRandom

import pytest
from databases.stores import EACH_KIND, empty_database, opened
from followed.applications import address_of_an_application
from followed.bookshop import bookshop
from followed.following import numbers, position, published

from sagalog.store import Store

EVENTS = 1000
KILLS = 8
PATIENCE = 60.0

pytestmark = [pytest.mark.crash, pytest.mark.slow]
EACH_DATABASE = EACH_KIND[1:]


def started(application: str, database: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "followed.following_process", application, database]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def read_up_to(eye: Store, goal: int) -> None:
    give_up = time.monotonic() + PATIENCE
    while (position(eye) or 0) < goal:
        assert time.monotonic() < give_up, f"position {position(eye)} after {PATIENCE} s, expected {goal}"
        time.sleep(0.001)


@pytest.mark.parametrize("database", EACH_DATABASE)
@pytest.mark.parametrize("application", EACH_DATABASE)
def test_a_thousand_events_are_told_once_each_though_two_followers_are_killed_again_and_again(
    application: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Invariants 7, 35, 43 and 44: two processes follow, and the one that owns the consumer or the other is killed."""
    seed = SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    random = Random(seed)
    log = address_of_an_application(application, tmp_path, request)
    target = empty_database(database, tmp_path, request)
    assert isinstance(target, str)
    with bookshop(log) as shop, opened(target) as eye:
        shop.place_many(range(EVENTS // 2))
        processes = [started(log, target), started(log, target)]
        try:
            for kill in range(KILLS):
                goal = (position(eye) or 0) + random.randrange(20, EVENTS // KILLS - 10)
                if kill == KILLS // 2:
                    shop.place_many(range(EVENTS // 2, EVENTS))
                read_up_to(eye, min(goal, len(shop.notifications()) - 1))
                victim = random.randrange(2)
                processes[victim].kill()
                processes[victim].wait()
                processes[victim] = started(log, target)
            read_up_to(eye, EVENTS)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert position(eye) == EVENTS
        twice = [number for number, times in Counter(numbers(eye)).items() if times > 1]
        assert twice == []
        assert numbers(eye) == [*range(EVENTS)]
        assert [one.id for one in published(eye)] == [f"follow:Bookshop:{n}:0" for n in range(1, EVENTS + 1)]
