"""Stand-ins: equal for equal values, different for different ones, of the same shape, and never turned back."""

import re
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import decode, encode
from pydantic import BaseModel, HttpUrl

from sagalog.cli.stand_ins import StandIns
from sagalog.harmless import CONTROLS

KEY = b"a key of this test"
words = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["1", "01", "+1", "-1", "1.0", "1.00", "12:30", "2026-01-02", "a@b.cd", "https://a.b/c"]),
    st.uuids().map(str),
    st.dates().map(str),
    st.datetimes().map(datetime.isoformat),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.emails(),
)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@given(st.lists(words, unique=True))
def test_different_texts_have_different_stand_ins_and_equal_ones_the_same(texts: list[str]) -> None:
    made = StandIns(KEY)
    found = [made.text(text) for text in texts]
    assert len(set(found)) == len(texts)
    assert [made.text(text) for text in texts] == found
    assert all((text == "") == (stand_in == "") for text, stand_in in zip(texts, found, strict=True))
    assert all(CONTROLS.search(stand_in) is None for stand_in in found)


@given(st.lists(numbers, unique_by=repr))
def test_different_numbers_have_different_stand_ins_that_json_keeps(values: list[float]) -> None:
    made = StandIns(KEY)
    found = [made.number(value) for value in values]
    assert len({repr(one) for one in found}) == len(values)
    assert [type(one) for one in found] == [type(value) for value in values]
    assert decode(encode(found)) == found


def test_of_dates_there_are_few_and_no_two_of_them_get_the_same_stand_in() -> None:
    made = StandIns(KEY)
    days = [date.fromordinal(700_000 + number).isoformat() for number in range(20_000)]
    assert len({made.text(day) for day in days}) == len(days)
    minutes = [f"{number // 60:02}:{number % 60:02}" for number in range(24 * 60)]
    assert len({made.text(minute) for minute in minutes}) == len(minutes)


class Everything(BaseModel):
    id: UUID
    day: date
    at: datetime
    price: Decimal
    count: int
    share: float
    page: HttpUrl


@given(
    st.builds(
        Everything,
        price=st.decimals(allow_nan=False, allow_infinity=False, places=2),
        share=st.floats(allow_nan=False, allow_infinity=False),
        page=st.sampled_from(["https://ada.example/x?y=z", "http://localhost:80"]),
    )
)
def test_a_value_that_validates_has_a_stand_in_that_does(given_one: Everything) -> None:
    plain: dict[str, str | float] = given_one.model_dump(mode="json")
    made = StandIns(KEY)
    scrubbed = {name: made.text(one) if isinstance(one, str) else made.number(one) for name, one in plain.items()}
    found = Everything.model_validate(scrubbed)
    assert found.id.version == given_one.id.version
    assert 1970 <= found.day.year <= 9999
    assert [name for name in plain if scrubbed[name] == plain[name]] == []


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("ada@example.org", r"text-[0-9a-f]{16}@example\.com"),
        ("01A2254E-5CA4-7000-BE0D-079E8D1D1893", r"[0-9A-F]{8}-[0-9A-F]{4}-7[0-9A-F]{3}-B[0-9A-F]{3}-[0-9A-F]{12}"),
        ("01a2254e-5ca4-7000-be0d-079e8d1d1893:pay:undo:2", r"[0-9a-f-]{36}:text-[0-9a-f]{16}"),
        ("9e107d9d372bb6826bd81d3542a419d6", r"[0-9a-f]{32}"),
        ("2026-02-03T04:05:06.789+01:00", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"),
        ("2026-02-03 04:05Z", r"\d{4}-\d\d-\d\d \d\d:\d\dZ"),
        ("+491701234567", r"\+\d{1,16}"),
        ("-12.50", r"-\d{1,16}\.\d\d"),
        ("HTTPS://ada.example/x?y=z", r"https://example\.com/[0-9a-f]{16}"),
        ("Ada Lovelace", r"text-[0-9a-f]{16}"),
        ("\x1b[31m\u202e\ud800", r"text-[0-9a-f]{16}"),
    ],
)
def test_a_stand_in_has_the_shape_of_its_value(value: str, shape: str) -> None:
    assert re.fullmatch(shape, StandIns(KEY).text(value))


def test_with_another_key_everything_is_another() -> None:
    """Whoever has no key cannot check a guess."""
    one, other = StandIns(KEY), StandIns(b"another")
    assert one.text("Ada") != other.text("Ada")
    assert one.number(7) != other.number(7)
    assert one.text("2026-01-02") != other.text("2026-01-02")
    assert one.text("2026-01-02") != "2026-01-02"


def test_what_begins_with_a_sagas_id_begins_with_its_stand_in() -> None:
    """So it can still be seen which saga's command a message answers."""
    made, saga = StandIns(KEY), "01a2254e-5ca4-7000-be0d-079e8d1d1893"
    assert made.text(f"{saga}:pay").startswith(f"{made.text(saga)}:text-")
    assert made.text(f"{saga}:pay") != made.text(f"{saga}:ship")
