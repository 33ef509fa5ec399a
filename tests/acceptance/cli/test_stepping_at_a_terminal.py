"""Stepping through a replay by keys: on a real pseudo-terminal, keys are pressed and screens are read."""

import json
import os
import re
import signal
import subprocess
import termios
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from pages.command_line import ROOT, UNSET, program
from pages.terminal import COLOURS, ENTERED, LEFT, Terminal
from sagas.shop_demo import FinishedDemo

RIGHT, LEFT_KEY, DOWN, UP = "\x1b[C", "\x1b[D", "\x1b[B", "\x1b[A"
HOME, END, PAGE_DOWN, PAGE_UP = "\x1b[H", "\x1b[F", "\x1b[6~", "\x1b[5~"
EVENTS = ["SagaStarted", "StepSucceeded", "StepSucceeded", "StepSucceeded", "SagaCompleted"]


@pytest.fixture
def failed(finished_demo: FinishedDemo) -> str:
    """The key of an order that was undone because the carrier did not answer."""
    ran = finished_demo.sagalog("list", "--error", "CarrierMute", "-o", "json")
    found: str = json.loads(ran.out)[0]["saga_key"]
    return found


@contextmanager
def stepping(
    folder: Path, *words: str, columns: int = 100, lines: int = 44, environment: Mapping[str, str] | None = None
) -> Generator[Terminal]:
    kept = {name: value for name, value in os.environ.items() if name not in (*UNSET, "LINES")}
    settings = kept | {"SAGALOG_DB": str(folder / "demo.db"), "SHOP_DB": str(folder / "demo-shop.db")}
    with Terminal(program("replay", "--step", *words), settings | dict(environment or {}), columns, lines) as terminal:
        yield terminal


def event_on(screen: str) -> tuple[int, str]:
    """Return the number of the event on a screen, and its name."""
    found = re.search(r" event (\d+) of (\d+) ─*\n(\w+)", screen)
    assert found is not None, screen
    return int(found[1]), found[3]


def section(screen: str, title: str) -> list[str]:
    """Return the lines below a title."""
    block = screen.split(f"\n{title}\n")[1]
    return [line.strip() for line in re.split(r"\n\n|\n─", block)[0].splitlines()]


def is_given_back(terminal: Terminal) -> bool:
    """Tell whether the terminal is as it was: its settings, its page, its cursor."""
    return terminal.settings() == terminal.settings_before and terminal.written.count(
        ENTERED
    ) == terminal.written.count(LEFT)


@pytest.mark.parametrize(("forward", "back"), [("\n", "b"), (RIGHT, LEFT_KEY), (DOWN, UP), (" ", "\x7f"), ("\r", "p")])
def test_each_key_forward_shows_the_next_event_and_each_key_back_the_one_before(
    finished_demo: FinishedDemo, forward: str, back: str
) -> None:
    with stepping(finished_demo.folder, "order-0001") as terminal:
        seen = [event_on(terminal.screen())]
        seen += [event_on(terminal.press(forward)) for _ in range(4)]
        assert seen == list(enumerate(EVENTS, 1))
        # There is nothing behind the last event, and nothing before the first.
        assert event_on(terminal.press(forward)) == (5, "SagaCompleted")
        returned = [event_on(terminal.press(back)) for _ in range(5)]
        assert returned == [*reversed(seen[:4]), seen[0]]
        terminal.type("q")
        assert (terminal.ended(), terminal.after()) == (0, "")
        assert is_given_back(terminal)


def test_home_and_end_go_to_the_first_and_the_last_event(finished_demo: FinishedDemo) -> None:
    with stepping(finished_demo.folder, "order-0001") as terminal:
        terminal.screen()
        assert event_on(terminal.press(END)) == (5, "SagaCompleted")
        assert event_on(terminal.press(HOME)) == (1, "SagaStarted")
        assert event_on(terminal.press("\x1bOF")) == (5, "SagaCompleted")
        assert event_on(terminal.press("g")) == (1, "SagaStarted")
        # Keys that mean nothing change nothing, whatever a terminal sends for them.
        for key in ("x", "\x1b[15~", "\x1b[1;5C", "é", "\x1ba"):
            assert event_on(terminal.press(key)) == (1, "SagaStarted")


def test_a_screen_shows_the_event_the_changes_the_wait_and_what_comes(finished_demo: FinishedDemo, failed: str) -> None:
    with stepping(finished_demo.folder, failed) as terminal:
        terminal.screen()
        *_, screen = [terminal.press("\n") for _ in range(3)]
        assert event_on(screen) == (4, "StepFailed")
        assert screen.startswith(f"order-fulfilment {failed}  pending  ")
        assert "steps.create_shipment.action: retrying" in section(screen, "Changed")
        waits = section(screen, "Waits for")
        assert re.fullmatch(r"attempt 2 of create_shipment, until 20\S+ \(\d+ ms\)", waits[0])
        assert re.fullmatch(r"the deadline of the saga, until 20\S+ \(59 m \d\d s\)", waits[1])
        assert section(screen, "About to be done") == ["not known here: give --app, and its definition tells"]
        assert section(screen, "Recorded next")[0].startswith("StepFailed  create_shipment, attempt 2, unknown: ")
        last = terminal.press(END)
        assert section(last, "Waits for") == ["nothing"]
        assert section(last, "Recorded next") == ["nothing: this is the last event"]


def test_with_the_app_a_screen_says_what_was_about_to_be_done(finished_demo: FinishedDemo, failed: str) -> None:
    app = ("--app-dir", str(ROOT), "--app", "domain")
    with stepping(finished_demo.folder, failed, *app) as terminal:
        effects = [section(terminal.screen(), "About to be done")]
        effects += [section(terminal.press("\n"), "About to be done") for _ in range(11)]
    assert effects[:3] == [["run reserve_inventory"], ["run process_payment"], ["run create_shipment"]]
    assert re.fullmatch(r"run create_shipment, attempt 2, not before 20\S+", effects[3][0])
    assert effects[7:] == [
        ["undo create_shipment"],
        ["undo process_payment"],
        ["undo reserve_inventory"],
        ["nothing"],
        ["nothing"],
    ]


def test_a_choreography_says_which_events_are_waited_for(finished_demo: FinishedDemo) -> None:
    app = ("--app-dir", str(ROOT), "--app", "domain")
    with stepping(finished_demo.folder, "created-0153", *app) as terminal:
        terminal.screen()
        screen = terminal.press("\n")
        assert "event InventoryReserved or event InventoryRejected" in section(screen, "Waits for")[0]
        assert section(terminal.press(END), "Waits for")[0].startswith("a person, who may: ")


def test_an_app_with_another_definition_is_not_believed(finished_demo: FinishedDemo, tmp_path: Path) -> None:
    """Invariant 41: what was about to be done is told by the definition that the saga ran with, or not at all."""
    (tmp_path / "later.py").write_text(
        "from sagalog import Saga\n\nsaga = Saga('order-fulfilment', input=dict)\n\n\n"
        "@saga.step(compensation=None)\ndef other(order: dict) -> None: ...\n\n\nsagas = [saga]\n",
        "utf-8",
    )
    app = ("--app-dir", str(tmp_path), "--app", "later")
    with stepping(finished_demo.folder, "order-0001", *app) as terminal:
        told = " ".join(section(terminal.screen(), "About to be done"))
    assert told.startswith("not known here: the app later has no order-fulfilment version 1 of the digest ")


def test_an_app_that_only_the_environment_names_may_be_missing(finished_demo: FinishedDemo, tmp_path: Path) -> None:
    """An exported file is looked at anywhere, whatever somebody has set once."""
    path = tmp_path / "one.jsonl"
    path.write_text(finished_demo.sagalog("export", "order-0001").out, "utf-8")
    with stepping(tmp_path, "--from", str(path), environment={"SAGALOG_APP": "not_there"}) as terminal:
        assert "there is no package not_there" in " ".join(section(terminal.screen(), "About to be done"))
    with stepping(tmp_path, "--from", str(path), "--app", "not_there") as terminal:
        assert terminal.ended() == 3
        assert COLOURS.sub("", terminal.written).startswith("error: there is no package not_there")
        assert is_given_back(terminal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_terminal_back(finished_demo: FinishedDemo, number: signal.Signals) -> None:
    with stepping(finished_demo.folder, "order-0001") as terminal:
        terminal.screen()
        assert terminal.settings() != terminal.settings_before
        if number is signal.SIGINT:
            terminal.type("\x03")
            assert terminal.ended() == 130
            assert COLOURS.sub("", terminal.after()).strip() == "interrupted"
        else:
            terminal.process.send_signal(number)
            assert terminal.ended() == 128 + number
        assert is_given_back(terminal)


FAILING = """
import sys
from sagalog.cli import stepping
def _contents(replayed, number, told, width):
    if number:
        raise RuntimeError("a mistake of the screen")
    yield "all is well"
stepping._contents = _contents
from sagalog.cli import main
main(prog_name="sagalog")
"""


def test_an_error_gives_the_terminal_back_before_it_is_shown(finished_demo: FinishedDemo) -> None:
    settings = {name: value for name, value in os.environ.items() if name not in UNSET}
    command = [program()[0], "-c", FAILING, "--db", str(finished_demo.folder / "demo.db"), "replay", "order-0001"]
    with Terminal([*command, "--step"], settings | {"NO_COLOR": "1"}) as terminal:
        terminal.screen()
        terminal.type("\n")
        assert terminal.ended() == 1
        assert terminal.after().startswith("error: ")
        assert "a mistake of the screen" in terminal.after()
        assert is_given_back(terminal)


def test_what_is_typed_is_not_shown_and_a_suspended_page_is_left_to_nobody(finished_demo: FinishedDemo) -> None:
    with stepping(finished_demo.folder, "order-0001") as terminal:
        terminal.screen()
        flags, characters = terminal.settings()[3], terminal.settings()[6]
        assert not flags & (termios.ECHO | termios.ICANON)
        assert characters[termios.VSUSP] == b"\0"


def test_colours_are_left_out_if_somebody_asks(finished_demo: FinishedDemo) -> None:
    def colours(**environment: str) -> set[str]:
        with stepping(finished_demo.folder, "order-0001", environment=environment) as terminal:
            terminal.screen()
            terminal.press(END)
            return set(re.findall(r"\x1b\[(?:\d+;)*3[0-7]m", terminal.written))

    assert "\x1b[32m" in colours()
    assert colours(NO_COLOR="1") == set()


def test_no_line_of_a_screen_is_wider_than_the_terminal_and_no_screen_higher(
    finished_demo: FinishedDemo, failed: str
) -> None:
    with stepping(finished_demo.folder, failed, columns=50, lines=12) as terminal:
        screens = [terminal.screen(), *(terminal.press("\n") for _ in range(11))]
        assert all(len(screen.split("\n")) == 12 for screen in screens)
        assert max(len(line) for screen in screens for line in screen.split("\n")) <= 50
        assert event_on(screens[-1]) == (12, "SagaFailed")


def test_what_does_not_fit_is_seen_page_by_page(finished_demo: FinishedDemo, failed: str) -> None:
    with stepping(finished_demo.folder, failed, lines=12) as terminal:
        first = terminal.screen()
        assert "Changed" in first
        assert "Recorded next" not in first
        pages = [first]
        while "Recorded next" not in pages[-1]:
            pages.append(terminal.press(PAGE_DOWN))
            assert len(pages) < 20
        assert {event_on_title(page) for page in pages} == {1}
        assert "SagaStarted" in terminal.press(HOME)
        assert terminal.press(PAGE_UP) == first


def event_on_title(screen: str) -> int:
    found = re.search(r" event (\d+) of ", screen)
    assert found is not None
    return int(found[1])


def test_a_terminal_of_another_size_is_drawn_anew(finished_demo: FinishedDemo) -> None:
    with stepping(finished_demo.folder, "order-0001") as terminal:
        terminal.screen()
        terminal.resize(60, 20)
        smaller = terminal.screen(2)
        assert len(smaller.split("\n")) == 20
        assert max(map(len, smaller.split("\n"))) <= 60


def test_where_stdout_is_no_terminal_lines_are_written_as_ever(finished_demo: FinishedDemo) -> None:
    """Whoever pipes what they see wants no screens."""
    settings = {name: value for name, value in os.environ.items() if name not in UNSET}
    command = program("--db", str(finished_demo.folder / "demo.db"), "replay", "order-0001", "--step")
    ran = subprocess.run(command, env=settings, input="q\n", capture_output=True, text=True, check=True)
    assert ran.stdout == finished_demo.sagalog("replay", "order-0001").out
    assert (ran.stderr, "\x1b" in ran.stdout) == ("", False)
