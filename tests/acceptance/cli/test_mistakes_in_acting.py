"""Mistakes in acting on a saga: each is one clear error with its exit code, and nothing is changed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pages.command_line import Ran
from sagas.desk import WHY, Desk
from sagas.parcel_orders import APP, only_started, ordered, parcel_order


def nothing_changed(desk: Desk, act: Callable[[], Ran]) -> Ran:
    before = desk.history("o-1")
    ran = act()
    assert desk.history("o-1") == before
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    return ran


MISTAKES: dict[tuple[str, ...], tuple[int, str]] = {
    ("cancel", "o-1", "--actor", "ann"): (2, "Missing option '--reason': say why, which is recorded, such as --reason"),
    ("cancel", "o-1", "--actor", "", "--reason", "x"): (2, "the actor: expected 1 to"),
    ("cancel", "o-1", "--actor", "ann", "--reason", ""): (2, "the reason: expected 1 to"),
    ("cancel", "o-1", *WHY, "--action-id", "a\n1"): (2, "the action id: "),
    ("cancel", "nobody", *WHY): (3, "no saga has the id or key 'nobody'"),
    ("cancel", "o-1", *WHY, "--saga", "other"): (3, "no saga 'other' has the id or key 'o-1'"),
    ("skip", "o-1", "pai", *WHY): (2, "expected a step of saga parcel-order version 1, found 'pai'; did you mean pay?"),
    ("skip", "o-1", "pay", *WHY): (2, "the result of step pay: expected Receipt, found none"),
    ("skip", "o-1", "pay", *WHY, "--result", "{"): (2, "expected JSON, such as 7, "),
    ("skip", "o-1", "pay", *WHY, "--result", "paid"): (2, "expected JSON, such as 7, "),
    ("skip", "o-1", "pay", *WHY, "--result", '{"cents": "x"}'): (2, "$.cents: expected int"),
    ("resolve", "o-1", "pay", *WHY): (2, "--happened or --did-not-happen, one of them"),
    ("resolve", "o-1", "pay", *WHY, "--happened", "--did-not-happen"): (2, "one of them"),
    ("resolve", "o-1", "pay", *WHY, "--did-not-happen", "--result", "1"): (2, "--result goes with --happened"),
    ("amend", "o-1", *WHY): (2, "give a step and its new --result, or, without a step, the new --input"),
    ("amend", "o-1", "pay", "--input", "1", *WHY): (2, "give a step and its new --result"),
    ("amend", "o-1", "--input", "1", *WHY): (2, "the input of saga parcel-order: expected Order"),
    ("reschedule", "o-1", *WHY): (2, "say when: --at TIME or --in DURATION, one of them"),
    ("reschedule", "o-1", "--at", "noon", *WHY): (2, "expected a time such as"),
    ("reschedule", "o-1", "--in", "soon", *WHY): (2, "expected a length of time such as"),
    ("reschedule", "o-1", "--in", "1h", "--step", "pay", "--deadline", *WHY): (2, "give one of them"),
}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """An order that waits for its next attempt, for whoever changes nothing."""
    folder = tmp_path_factory.mktemp("waiting")
    address = f"sqlite:///{folder / 'sagas.db'}"
    ordered(address, "o-1", "no bank")
    return Desk(address, folder, APP)


@pytest.mark.parametrize(("words", "told"), MISTAKES.items(), ids=[" ".join(words) for words in MISTAKES])
def test_what_makes_no_sense_is_one_clear_error_and_changes_nothing(
    waiting: Desk, words: tuple[str, ...], told: tuple[int, str]
) -> None:
    ran = nothing_changed(waiting, lambda: waiting.sagalog(*words))
    assert ran.code == told[0]
    assert told[1] in ran.err


def test_without_a_login_name_the_actor_has_to_be_said(waiting: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr("getpass.getuser", nobody)
    ran = nothing_changed(waiting, lambda: waiting.sagalog("cancel", "o-1", "--reason", "x"))
    assert (ran.code, ran.err) == (
        2,
        "error: nobody is logged in by a name: say who decides with --actor; see `sagalog cancel --help`\n",
    )


def test_a_key_of_two_sagas_has_to_be_told_apart(waiting: Desk) -> None:
    other = only_started(waiting.address, "o-1", parcel_order(name="another-order"))
    ran = waiting.sagalog("pause", "o-1", *WHY)
    assert ran.code == 2
    assert "'o-1' is a key of another-order and of parcel-order: say which one with --saga" in ran.err
    assert waiting.sagalog("pause", "o-1", "--saga", "another-order", *WHY).code == 0
    assert waiting.sagalog("abandon", other, "--yes", *WHY).code == 0


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    ran = Desk(f"sqlite:///{tmp_path / 'none.db'}", tmp_path, APP).sagalog("cancel", "o-1", *WHY)
    assert ran.code == 5
    assert list(tmp_path.iterdir()) == []


def test_abandoning_is_refused_where_nobody_can_be_asked(waiting: Desk) -> None:
    before = waiting.sagalog("history", "o-1", "--saga", "parcel-order").out
    ran = waiting.sagalog("abandon", "o-1", "--saga", "parcel-order", *WHY)
    assert (ran.code, ran.out) == (2, "")
    assert "These effects are, or may be, left, and nobody undoes them:" in ran.err
    assert 'reserve  succeeded  {"number":7}' in ran.err
    assert "add --yes" in ran.err.splitlines()[-1]
    assert waiting.sagalog("history", "o-1", "--saga", "parcel-order").out == before
