"""A long collection holds what a dict or a tuple holds, in the same order, and no copy of it changes another."""

import random
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.walks import walked

from sagalog.codec import encode_json
from sagalog.saga import growing
from sagalog.saga.evolve import evolve, fold
from sagalog.saga.growing import LONG, Entries, Growing, GrowingIds, Ids, added, changed, changes, place, plain
from sagalog.saga.state import SagaState

seeds = st.integers(0, 2**32)


def changed_often(seeded: random.Random, times: int) -> list[tuple[dict[str, int], Entries[int]]]:
    """Return a mapping after each of so many changes, each beside the dict that it has to be equal to."""
    expected: dict[str, int] = {}
    found: Entries[int] = {}
    versions: list[tuple[dict[str, int], Entries[int]]] = [({}, {})]
    for value in range(times):
        name = str(seeded.randrange(2 * LONG)) if seeded.random() < 0.5 else f"new {value}"
        expected = {**expected, name: value}
        found = changed(found, name, value)
        versions.append((expected, found))
    return versions


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_a_long_mapping_is_what_a_dict_is(seed: int) -> None:
    versions = changed_often(random.Random(seed), 6 * LONG)
    for expected, found in versions[:: LONG // 7]:
        assert isinstance(found, Growing) == (len(expected) > LONG)
        assert list(found.items()) == list(expected.items())
        assert (list(found), len(found), found) == (list(expected), len(expected), expected)
        assert list(found.values()) == list(expected.values())
        for number, name in enumerate(expected, 1):
            assert (found[name], found.get(name), place(found, name)) == (expected[name], expected[name], number)
            assert name in found
        assert "nothing" not in found
        assert found.get("nothing", "else") == "else"
        with pytest.raises(KeyError):
            found["nothing"]
        assert encode_json(found) == encode_json(expected)
        assert plain(found) == plain(deepcopy(found)) == expected
        assert repr(found) == repr(expected)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_what_changed_since_any_earlier_copy_is_found_with_its_place(seed: int) -> None:
    seeded = random.Random(seed)
    versions = changed_often(seeded, 5 * LONG)
    for number, (expected, found) in enumerate(versions):
        known, before = versions[max(0, number - seeded.choice((0, 1, 1, 1, 2, 3, LONG, 2 * LONG)))]
        assert changes(before, found) == [
            (place, name, value)
            for place, (name, value) in enumerate(expected.items(), 1)
            if name not in known or known[name] is not value
        ]


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_many_ids_are_what_a_tuple_is(seed: int) -> None:
    found: Ids = ()
    for number in range(seed % (4 * LONG)):
        found = added(found, f"id {number}")
    expected = tuple(f"id {number}" for number in range(seed % (4 * LONG)))
    assert isinstance(found, GrowingIds) == (len(expected) > LONG)
    assert (tuple(found), len(found), plain(found)) == (expected, len(expected), expected)
    assert all(one in found for one in expected)
    assert "another" not in found
    assert encode_json(found) == encode_json(expected)
    assert found == expected
    assert found == deepcopy(found)
    assert found != (*expected, "another")


def test_copies_share_all_but_what_was_changed_lately() -> None:
    versions = [found for _, found in changed_often(random.Random(1), 10 * LONG)]
    olds = {id(found.old) for found in versions if isinstance(found, Growing)}
    assert len(olds) <= 10
    assert all(len(found.recent) <= LONG for found in versions if isinstance(found, Growing))


def test_a_state_from_storage_is_plain_and_goes_on_as_a_live_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 39: whatever a state consists of, and whatever was found out about it."""
    # All sagas are long ones.
    monkeypatch.setattr(growing, "LONG", 2)
    for seed in range(60):
        events = walked(seed, 30).events
        live: SagaState | None = None
        for number, event in enumerate(events, 1):
            live = evolve(live, event)
            stored = fold(events[:number])
            assert not isinstance(stored.steps, Growing)
            assert not isinstance(stored.commands, Growing)
            assert not isinstance(stored.received, GrowingIds)
            assert stored == live
            assert encode_json(stored) == encode_json(live)
            if number < len(events):
                assert evolve(stored, events[number]) == evolve(live, events[number])
