"""`--where` is read as one value, whatever the clock says later, or refused with the place of what is wrong."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagalog.errors import InvalidQuery
from sagalog.saga.transitions import STATUSES
from sagalog.store import Query
from sagalog.store.filters import (
    BEFORE_ATTRIBUTES,
    FIELDS,
    All,
    AnyOf,
    AttributeComparison,
    Comparison,
    Filter,
    Not,
    written,
)
from sagalog.store.where import DEEPEST, LONGEST, MOST_COMPARISONS, parse
from sagalog.testing.contracts.store.samples import NOW, SECOND

STUCK = Comparison("status", "=", "stuck")
A, B, C = (Comparison("key", "=", one) for one in "abc")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("status=stuck", STUCK),
        (" status  =  stuck\n", STUCK),
        ("status='stuck'", STUCK),
        ("status!=stuck", Not(STUCK)),
        ("not not status=stuck", Not(Not(STUCK))),
        ("key=a and key=b and key=c", All((A, B, C))),
        ("key=a or key=b and key=c", AnyOf((A, All((B, C))))),
        ("(key=a or key=b) and key=c", All((AnyOf((A, B)), C))),
        ("not key=a and key=b", All((Not(A), B))),
        ("not (key=a AND key=b)", Not(All((A, B)))),
        ("key in (a, b,c)", AnyOf((A, B, C))),
        ("key IN (a)", A),
        ("key not in (a, b)", Not(AnyOf((A, B)))),
        ("owner in (none, w1)", AnyOf((Comparison("owner", "=", None), Comparison("owner", "=", "w1")))),
        ('key="none"', Comparison("key", "=", "none")),
        ('key="and"', Comparison("key", "=", "and")),
        ("key=''", Comparison("key", "=", "")),
        ('key="say ""hi"""', Comparison("key", "=", 'say "hi"')),
        ("key='it''s'", Comparison("key", "=", "it's")),
        ("key=ada@example.org", Comparison("key", "=", "ada@example.org")),
        ("key!~o-1%", Not(Comparison("key", "~", "o-1%"))),
        ('error~"letter shop"', Comparison("error", "~", "letter shop")),
        ("error=E", AnyOf((Comparison("error_type", "=", "E"), Comparison("error_text", "=", "E")))),
        ("error!=none", Not(Comparison("error_type", "=", None))),
        ("run>=2", Comparison("run", ">=", 2)),
        ("run = -1", Comparison("run", "=", -1)),
        ("age>10m", Comparison("started", "<", NOW - 600 * SECOND)),
        ("age<=1h30m", Comparison("started", ">=", NOW - 5_400 * SECOND)),
        ("idle>='2 h'", Comparison("updated", "<=", NOW - 7_200 * SECOND)),
        ("started<2023-11-14T22:13:20Z", Comparison("started", "<", 1_700_000_000 * SECOND)),
        ("deadline=none", Comparison("deadline", "=", None)),
        ("attribute.country=DE", AttributeComparison("country", "=", "DE")),
        ("attribute.amount>=100", AttributeComparison("amount", ">=", "100", 100)),
        ("attribute.amount=19.90", AttributeComparison("amount", "=", "19.90", 19.9)),
        ("attribute.amount='19.90'", AttributeComparison("amount", "=", "19.90")),
        ("attribute.gift=true", AttributeComparison("gift", "=", "true")),
        ("attribute.country!~d", Not(AttributeComparison("country", "~", "d"))),
        ("attribute.country=none", Not(AttributeComparison("country", "~", ""))),
    ],
)
def test_a_text_is_read(text: str, meant: Filter) -> None:
    assert parse(text, NOW) == meant


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_without_an_offset_is_local_and_written_in_utc(in_kathmandu: None) -> None:
    local = parse("started<2023-11-15T03:58:20", NOW)
    assert local == Comparison("started", "<", 1_700_000_000 * SECOND)
    assert written(local) == "started<2023-11-14T22:13:20.000000+00:00"


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("", 1, "expected a field, not or (, found the end"),
        ("status=stuck and", 17, "expected a field, not or (, found the end"),
        ("status=stuk", 8, "there is no status 'stuk'; did you mean stuck?"),
        ("status=zzz", 8, "it is one of started, pending"),
        ("stat=stuck", 1, "there is no field 'stat'; did you mean status?"),
        ("saga_name=a", 1, "did you mean saga?"),
        ("started_at>2026-01-01", 1, "did you mean started?"),
        ("colour=red", 1, "there is no field 'colour'; there are id, saga,"),
        ("attr.amount>=100", 1, "expected an attribute such as attribute.amount, found 'attr.amount'"),
        ("attribute.a-b=1", 1, "expected an attribute such as attribute.customer, found 'attribute.a-b'"),
        ("key", 4, "expected one of = != < <= > >= ~ !~ in after key, found the end"),
        ("key a", 5, "expected one of = != < <= > >= ~ !~ in after key, found 'a'"),
        ("key==a", 5, "expected a value to compare key with"),
        ("key=and", 5, "found 'and'"),
        ("key='a", 5, "expected a ' that ends the text in quotes, found none"),
        ("key=o'neil", 6, "expected a ' that ends the text in quotes, found none"),
        ("(key=a", 7, "expected ), found the end"),
        ("key=a)", 6, "expected and, or, or the end, found ')'"),
        ("key=a key=b", 7, "expected and, or, or the end, found 'key'"),
        ("key=a && key=b", 7, "expected and, or, or the end, found '&&'"),
        ("key in a", 8, "expected (, found 'a'"),
        ("key in ()", 9, "expected a value to compare key with"),
        ("key not a", 9, "expected in, found 'a'"),
        ("age>10", 5, "expected a length of time such as 500ms, 30s, 10m, 2h or 1d12h, found '10'"),
        ("age=10m", 5, "age is a length of time, which is compared by < <= > >=, found ="),
        ("age=none", 5, "every saga has an age"),
        ("started=2026-01-01", 9, "started is a time, which is compared by < <= > >=, found ="),
        ("ended in (2026-01-01)", 11, "ended is a time"),
        ("started>yesterday", 9, "expected a time such as 2025-11-23T14:05:09+01:00, found 'yesterday'"),
        ("run=two", 5, "expected a whole number to compare run with, such as 3, found 'two'"),
        ("run=1.5", 5, "expected a whole number"),
        ("run=9223372036854775808", 5, "expected a whole number"),
        ("run~1", 5, "run is a number, which is compared by = < <= > >= != in, found ~"),
        ("key<a", 5, "key is a text, which is compared by = ~ != !~ in, found <"),
        ("status~st", 8, "status is one of a few, which is compared by = != in, found ~"),
        ("owner<none", 7, "none is what a saga has not"),
        (f"attribute.a={'x' * 501}", 13, "expected at most 500 bytes"),
        ("(" * (DEEPEST + 1) + "key=a", DEEPEST + 2, f"expected at most {DEEPEST} of ( and not within each other"),
        ("not " * (DEEPEST + 1) + "key=a", 4 * (DEEPEST + 1) + 1, "expected at most"),
        (f"run in ({'1,' * MOST_COMPARISONS}1)", 9 + 2 * MOST_COMPARISONS, f"at most {MOST_COMPARISONS} comparisons"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, at: int, said: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse(text, NOW)
    error = str(caught.value)
    assert error.startswith(f"where, at character {at}: ")
    assert said in error
    assert error.endswith("""rite for example status=stuck and error~"letter shop" and age>10m""")


def test_as_many_as_are_promised_may_be_within_each_other() -> None:
    assert parse("(" * DEEPEST + "key=a" + ")" * DEEPEST, NOW) == parse("key=a", NOW)
    assert parse("not " * DEEPEST + "key=a", NOW) is not None


@pytest.mark.parametrize("given", [3, b"status=stuck", "key=a\0b", "key=a\ud800", "key=a or " * LONGEST])
def test_what_is_no_text_of_a_filter_is_refused(given: object) -> None:
    with pytest.raises(InvalidQuery, match=r"^where: expected") as caught:
        parse(given, NOW)
    assert len(str(caught.value)) < 300


def test_a_query_takes_a_filter_and_no_text() -> None:
    wrong: Any = "status=stuck"
    with pytest.raises(InvalidQuery, match="where: expected a filter that was read by"):
        Query(where=wrong)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(-60_000_000_000 * SECOND, 250_000_000_000 * SECOND)
OF_KIND = {kind: [field for field, (_, its) in FIELDS.items() if its == kind] for _, kind in FIELDS.values()}
SINGLE: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Comparison, st.sampled_from([*FIELDS]), st.just("="), st.none()).map(
        lambda one: one if one.field != "error" else Comparison("error_type", "=", None)
    ),
    st.builds(Comparison, st.just("status"), st.just("="), st.sampled_from(STATUSES)),
    st.builds(Comparison, st.sampled_from(OF_KIND["text"]), st.just("~"), TEXTS),
    st.builds(Comparison, st.sampled_from(["key", "saga", "error_text"]), st.just("="), TEXTS),
    st.builds(Comparison, st.sampled_from(OF_KIND["number"]), st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS),
    st.builds(Comparison, st.sampled_from(OF_KIND["time"]), st.sampled_from(["<", "<=", ">", ">="]), TIMES),
    st.builds(AttributeComparison, st.just("a"), st.sampled_from(["=", "<", "<=", ">", ">=", "~"]), TEXTS),
    st.integers(0, 10**25).map(lambda one: parse(f"{BEFORE_ATTRIBUTES}a>={one}", NOW)),
    st.floats(-1e99, 1e99).map(lambda one: parse(f"{BEFORE_ATTRIBUTES}a={one!r}", NOW)),
)


def joined(parts: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    many = st.lists(parts, min_size=2, max_size=4).map(tuple)
    return st.one_of(st.builds(All, many), st.builds(AnyOf, many), st.builds(Not, parts))


@settings(deadline=None)
@given(st.recursive(SINGLE, joined, max_leaves=8))
def test_what_is_written_is_read_as_the_same_filter_at_any_time(one: Filter) -> None:
    text = written(one)
    assert parse(text, NOW) == parse(text, 0) == one
    assert written(parse(text, 0)) == text
    assert msgspec.json.decode(msgspec.json.encode(one), type=Filter) == one, "it can be kept"


@settings(deadline=None)
@given(st.text("keyand=<>~!()'\" orinst,.0m%", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text, NOW)
    except InvalidQuery:
        return
    assert parse(written(found), 0) == found
