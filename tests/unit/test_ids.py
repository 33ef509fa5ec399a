"""Ids are UUIDs of version 7: unique, and in the order of time."""

import uuid

from sagalog.clock import new_id
from sagalog.testing.clock import FakeClock


def test_an_id_is_a_uuid_of_version_7_of_its_time() -> None:
    clock = FakeClock()
    made = uuid.UUID(new_id(clock))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == clock.now() // 1000


def test_ids_made_a_few_microseconds_apart_are_in_order() -> None:
    clock = FakeClock()
    made: list[str] = []
    for _ in range(5_000):
        made.append(new_id(clock))
        clock.advance(0.000_003)
    assert made == sorted(made)


def test_ids_made_at_the_same_time_differ() -> None:
    clock = FakeClock()
    assert len({new_id(clock) for _ in range(1_000)}) == 1_000
