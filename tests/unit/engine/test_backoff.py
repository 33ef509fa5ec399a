"""Pauses that grow: by how much, up to where, and when they begin anew."""

from sagalog.engine.backoff import Backoff, Pauses


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(Pauses(0.5, 3.0))
    assert [backoff.pause() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_what_goes_well_begins_anew() -> None:
    backoff = Backoff(Pauses(0.5, 3.0))
    begun = [backoff.has_begun]
    backoff.pause()
    begun.append(backoff.has_begun)
    backoff.reset()
    assert [*begun, backoff.has_begun] == [False, True, False]
    assert backoff.pause() == 0.5


def test_what_fails_for_months_is_tried_again_as_often_as_ever() -> None:
    """A power of two that no float can hold would end the trying."""
    assert Pauses(0.2, 10.0).after(1_000_000) == 10.0
