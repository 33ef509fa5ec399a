"""Times, durations and ages as people write and read them."""

import time
from collections.abc import Iterator

import pytest

from sagalog.cli.quantities import duration, moment
from sagalog.saga.times import LATEST_TIME
from sagalog.store.quantities import SECOND, parse_duration, parse_moment


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0 ms"),
        (400, "0.4 ms"),
        (12_000, "12 ms"),
        (999_400, "999 ms"),
        (999_600, "1.0 s"),
        (3_400_000, "3.4 s"),
        (59_949_000, "59.9 s"),
        (59_960_000, "1 m 00 s"),
        (125 * SECOND, "2 m 05 s"),
        (3 * 3600 * SECOND + 12 * 60 * SECOND, "3 h 12 m"),
        (4 * 86_400 * SECOND + 7 * 3600 * SECOND, "4 d 07 h"),
        (-12_000, "-12 ms"),
    ],
)
def test_a_duration_is_written_in_the_units_of_its_size(microseconds: int, text: str) -> None:
    assert duration(microseconds) == text


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("500ms", 500_000),
        ("30s", 30 * SECOND),
        ("10m", 600 * SECOND),
        ("2h", 7200 * SECOND),
        ("1d12h", 129_600 * SECOND),
    ],
)
def test_an_age_is_read_as_it_is_said(text: str, microseconds: int) -> None:
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize("text", ["", "10", "m", "10 minutes", "1x", "-5m", "5m!", "ten"])
def test_what_is_no_age_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms"):
        parse_duration(text)


@pytest.mark.usefixtures("in_kathmandu")
def test_a_time_is_shown_in_local_time_with_its_offset_and_read_back() -> None:
    assert moment(1_700_000_000_123_456) == "2023-11-15T03:58:20.123+05:45"
    assert parse_moment(moment(1_700_000_000_123_456, "microseconds")) == 1_700_000_000_123_456


@pytest.mark.usefixtures("in_kathmandu")
def test_a_time_without_an_offset_is_local() -> None:
    assert parse_moment("2023-11-15T03:58:20") == 1_700_000_000 * SECOND
    assert parse_moment("2023-11-14T22:13:20Z") == 1_700_000_000 * SECOND


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13-01", "25:00"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 20"):
        parse_moment(text)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize(
    ("late", "shown"),
    [
        (0, ("1970-01-01T", "1969-12-31T")),
        (LATEST_TIME, ("9999-12-31T",)),
        (2**62, ("+148108-",)),
        (-(2**62), ("-144169-",)),
    ],
)
def test_every_time_can_be_shown_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch, zone: str, late: int, shown: tuple[str, ...]
) -> None:
    """A message of the year 10000 ended `show --trace` with an error."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert moment(late, "microseconds").startswith(shown)
    finally:
        monkeypatch.undo()
        time.tzset()
