"""`sagalog start`: a saga for each line of JSON; a bad line is told by its number, and no other is lost."""

import json
from pathlib import Path

import pytest
from pages.command_line import Ran, sagalog, write_app

from sagalog.cli.lines import LONGEST

ORDER = {
    "order_id": "o-1",
    "customer": "Ada",
    "lines": [{"sku": "mug", "quantity": 1}],
    "total_cents": 1200,
    "card_token": "tok_visa",
    "destination": "Lisbon",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return tmp_path


def order(number: int, **changed: object) -> str:
    return json.dumps(ORDER | {"order_id": f"o-{number}"} | changed)


def start(shop: Path, given: str | bytes, *words: str) -> Ran:
    return sagalog("start", "order-fulfilment", "--input", "-", *words, given=given, shop=shop)


def keys(shop: Path) -> set[str]:
    ran = sagalog("list", "--limit", "10000", "-o", "json", shop=shop)
    return {row["saga_key"] for row in json.loads(ran.out)}


def test_every_line_starts_a_saga_and_runs_none(shop: Path) -> None:
    ran = start(shop, "\n".join(order(number) for number in range(300)))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "300 started, 0 already there, 0 bad\n"
    assert keys(shop) == {f"o-{number}" for number in range(300)}
    statuses = json.loads(sagalog("list", "--limit", "1000", "-o", "json", shop=shop).out)
    assert {row["status"] for row in statuses} == {"started"}


def test_the_same_input_again_starts_nothing_twice(shop: Path) -> None:
    """Invariant 1."""
    text = "\n".join([order(1), order(2), order(1)])
    assert start(shop, text).out == "2 started, 1 already there, 0 bad\n"
    assert start(shop, text).out == "0 started, 3 already there, 0 bad\n"


def test_a_bad_line_is_told_with_its_number_and_the_others_go_on(shop: Path) -> None:
    lines = [
        order(1),
        "",
        "{not json",
        order(2),
        '{"order_id": "o-3"}',
        "[]",
        order(4, total_cents="much"),
        order(5, customer="a\0"),
        order(6),
    ]
    ran = start(shop, "\n".join(lines))
    assert ran.code == 1
    assert ran.out == "3 started, 0 already there, 5 bad\n"
    assert keys(shop) == {"o-1", "o-2", "o-6"}
    told = sorted(ran.err.splitlines())
    assert [line.split(":")[0] for line in told] == ["line 3", "line 5", "line 6", "line 7", "line 8"]
    assert "this is not JSON" in told[0]
    assert "total_cents" in told[3]


def test_lines_that_are_no_text_or_far_too_long_are_bad_lines(shop: Path) -> None:
    text = b"\xff\xfe\n" + b'"' + b"x" * (LONGEST + 10) + b'"\n' + order(1).encode() + b"\n"
    ran = start(shop, text)
    assert (ran.code, ran.out) == (1, "1 started, 0 already there, 2 bad\n")
    assert "line 2: the line is longer than 1,048,576 bytes" in ran.err


def test_a_payload_over_the_cap_is_a_bad_line(tmp_path: Path) -> None:
    name = write_app(tmp_path, "app_for_large_payloads")
    lines = [json.dumps({"name": "x" * 300_000}), json.dumps({"name": "ada"})]
    ran = sagalog(
        "--app-dir", str(tmp_path), "--app", name, "--db", str(tmp_path / "a.db"),
        "start", "greet", "--input", "-", given="\n".join(lines),
    )  # fmt: skip
    assert (ran.code, ran.out) == (1, "1 started, 0 already there, 1 bad\n")
    assert ran.err.startswith("line 1: ")


def test_the_key_may_be_any_field_of_the_line(shop: Path) -> None:
    lines = [order(1, customer="Grace"), order(2, customer="Ada"), order(3, customer="Grace")]
    assert start(shop, "\n".join(lines), "--key", "customer").out == "2 started, 1 already there, 0 bad\n"
    assert keys(shop) == {"Ada", "Grace"}
    assert start(shop, order(9), "--key", "total_cents").out == "1 started, 0 already there, 0 bad\n"
    assert "1200" in keys(shop)


def test_a_line_without_the_field_of_the_key_is_bad(shop: Path) -> None:
    ran = start(shop, order(1), "--key", "invoice")
    assert ran.code == 1
    assert ran.err == "line 1: expected a text or a whole number in the field 'invoice' for the key\n"
    assert start(shop, order(1), "--key", "lines").code == 1


def test_input_comes_from_a_file_too(shop: Path) -> None:
    path = shop / "orders.jsonl"
    path.write_text(order(1) + "\n", "utf-8")
    ran = sagalog("start", "order-fulfilment", "--input", str(path), shop=shop)
    assert (ran.code, ran.out) == (0, "1 started, 0 already there, 0 bad\n")


def test_empty_input_starts_nothing(shop: Path) -> None:
    assert start(shop, "") == (0, "0 started, 0 already there, 0 bad\n", "")


def test_started_sagas_may_be_run_and_waited_for_at_once(shop: Path) -> None:
    ran = start(shop, "\n".join([order(1), order(2)]), "--wait")
    assert (ran.code, ran.err) == (0, "")
    assert ["completed", "2"] in [line.split() for line in ran.lines]


@pytest.mark.parametrize(
    ("changed", "code", "status"),
    [
        ({"card_token": "tok_declined"}, 10, "failed"),
        ({"card_token": "tok_closed_account", "carrier_down_for": 1000}, 11, "stuck"),
    ],
)
def test_waiting_says_by_the_exit_code_what_the_worst_end_was(
    shop: Path, changed: dict[str, object], code: int, status: str
) -> None:
    ran = start(shop, "\n".join([order(1), order(2, **changed)]), "--wait")
    assert ran.code == code
    assert [status, "1"] in [line.split() for line in ran.lines]


def test_a_saga_that_the_app_does_not_have_is_not_found(shop: Path) -> None:
    ran = sagalog("start", "returns", "--input", "-", shop=shop)
    assert (ran.code, ran.out) == (3, "")
    had = "order-fulfilment, order-fulfilment-remote, order-return"
    assert ran.err.startswith(f"error: no saga is called 'returns'; the app domain has: {had}\n")


def test_a_file_that_is_not_there_is_refused_before_anything_is_opened(shop: Path) -> None:
    ran = sagalog("start", "order-fulfilment", "--input", "nowhere.jsonl", shop=shop)
    assert ran.code == 2
    assert "'nowhere.jsonl': No such file or directory" in ran.err
    assert not (shop / "demo.db").exists()


def test_a_database_that_cannot_be_opened_starts_nothing(shop: Path) -> None:
    ran = sagalog("--db", "sqlite:///nowhere/at/all.db", "start", "order-fulfilment", "--input", "-", given=order(1))
    assert ran.code == 5
    assert "nowhere/at/all.db" in ran.err
    assert ran.err.count("\n") == 1


def test_a_key_that_several_sagas_have_is_told_and_may_be_narrowed(shop: Path) -> None:
    start(shop, order(1))
    name = write_app(shop, "app_with_the_same_keys")
    words = ("--db", str(shop / "demo.db"), "--app-dir", str(shop), "--app", name)
    assert sagalog(*words, "start", "greet", "--input", "-", given='{"name": "o-1"}').code == 0
    ran = sagalog("show", "o-1", shop=shop)
    assert ran.out.startswith("greet o-1  started\n")
    assert ran.err == ("o-1 is also a key of order-fulfilment; this is the newest, --saga NAME shows another\n")
    ran = sagalog("show", "o-1", "--saga", "order-fulfilment", shop=shop)
    assert (ran.out.startswith("order-fulfilment o-1  started\n"), ran.err) == (True, "")
