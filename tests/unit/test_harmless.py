"""Text from outside forges nothing, wherever it is shown, and what is read by machines stays equal."""

import csv
import io
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

import sagalog
from sagalog import Saga
from sagalog.cli.logs import JsonFormatter, LineFormatter, TextFormatter, keep_transitions_quiet
from sagalog.cli.output import emit_records, note, write, write_fields, write_json
from sagalog.cli.pictures.chart import Chart, StepBox
from sagalog.cli.pictures.mermaid import mermaid
from sagalog.cli.pictures.svg import svg
from sagalog.cli.table import Column, table_of
from sagalog.harmless import CONTROLS, harmless, harmless_cell, harmless_json, harmless_lines
from sagalog.logs import LOGGERS

FORGED = (
    "refused\n2026-01-01T00:00:00 INFO saga paid\r\x1b[2J\x07\x9b2J\u202e\u2028\u2066end\x85\ud800"
    "\u200b\u2060\ufeff\xad\u3164\U000e0041a\u200d"
)
# What may stand in a text of a command line: the line feeds that it writes itself.
FORGING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\u3164\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]|(?<=[\0-\x7f])[\u200c\u200d]"
)

anything = st.text(st.characters(), max_size=60)


@given(anything)
def test_harmless_text_is_one_line_without_a_control(text: str) -> None:
    assert CONTROLS.search(harmless(text)) is None
    assert harmless(harmless(text)) == harmless(text)
    assert len(harmless(text).splitlines()) <= 1


@given(anything)
def test_harmless_lines_are_the_same_lines(text: str) -> None:
    assert FORGING.search(harmless_lines(text)) is None
    assert harmless_lines(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "日本　東京",
        "نظام",
        "👩‍🚒",
        "می\u200cخواهم",  # noqa: RUF001
        "❤\ufe0f\u200d🔥",
        "渡邉\U000e0102",
        "Ünïcødé “quoted”\u00a0text",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert harmless(text) == harmless_lines(text) == harmless_json(text) == harmless_cell(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("order\u200b-1", r"order\u200b-1"),
        ("order-1\u200d", r"order-1\u200d"),
        ("a\U000e0041", r"a\U000e0041"),
        ("\u3164", r"\u3164"),
        ("soft\xadly", r"soft\xadly"),
    ],
)
def test_what_shows_nothing_is_shown(text: str, shown: str) -> None:
    assert harmless(text) == shown
    assert json.loads(f'"{harmless_json(text)}"') == text
    assert harmless_json(text).isascii()


def test_what_is_too_long_is_cut() -> None:
    assert harmless("x" * 1_000_000, 10) == "xxxxxxxxxx…"
    assert harmless_lines("x" * 1_000_000, 10) == "xxxxxxxxxx\n…"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_json_that_is_written_is_equal_when_it_is_read(value: Any) -> None:
    text = harmless_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert FORGING.search(text) is None
    assert json.loads(text) == value


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    '=HYPERLINK("http://evil","x")',
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert harmless_cell(text).startswith("'")
    assert harmless_cell(text)[1:] == harmless(text)


@pytest.mark.parametrize("text", ["a=b", "1+1", "order-1", "'=1", " =1", ""])
def test_any_other_cell_stays_as_it_is(text: str) -> None:
    assert harmless_cell(text) == text


def written(capsys: pytest.CaptureFixture[str], call: Callable[[], object]) -> str:
    call()
    found = capsys.readouterr()
    return found.out + found.err


def test_csv_is_one_line_a_record_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"=title\x1b": text, "number": -1, "nested": {"\x9b": text}} for text in (*FORMULAS, FORGED)]
    out = written(capsys, lambda: emit_records("csv", records))
    assert FORGING.search(out) is None
    assert out.count("\n") == len(records) + 1
    first, *rows = csv.reader(io.StringIO(out))
    assert first[0] == "'=title\\x1b"
    for row, given_record in zip(rows, records, strict=True):
        assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))
        # A number is one, and what is nested is JSON.
        assert row[1] == "-1"
        assert json.loads(row[2]) == given_record["nested"]


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_records_of_json_are_the_same_when_they_are_read(capsys: pytest.CaptureFixture[str], output: str) -> None:
    records: list[dict[str, Any]] = [{"text": FORGED}, {FORGED: [FORGED]}]
    out = written(capsys, lambda: emit_records(output, records))
    assert FORGING.search(out) is None
    assert (json.loads(out) if output == "json" else [json.loads(line) for line in out.splitlines()]) == records


def test_nothing_that_is_written_to_a_terminal_has_a_control(capsys: pytest.CaptureFixture[str]) -> None:
    columns: tuple[Column[str], ...] = (
        Column(f"TITLE{FORGED}", lambda row: row),
        Column("TEXT", Text),
    )
    for call in (
        lambda: write(FORGED),
        lambda: write(Text.assemble((FORGED, "bold"), FORGED)),
        lambda: write(table_of([FORGED], columns)),
        lambda: write_fields([(FORGED, FORGED)]),
        lambda: write_json({FORGED: FORGED}),
        lambda: note(FORGED),
    ):
        out = written(capsys, call)
        assert "end" in out
        assert FORGING.search(out) is None, out


# ------------------------------------------------------------------------------------------------------------- logs


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even that fails")


class Kept(logging.Handler):
    """Keep what a formatter that nobody here chose makes of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.texts.append(logging.Formatter("%(levelname)s %(message)s").format(record))


@pytest.fixture
def kept() -> Any:
    handler = Kept()
    root = logging.getLogger()
    root.addHandler(handler)
    for name in LOGGERS:
        # A command that another test ran may have kept it quiet.
        logging.getLogger(name).propagate = True
    yield handler
    root.removeHandler(handler)


@pytest.mark.parametrize("name", LOGGERS)
def test_no_record_of_the_library_forges_another(kept: Kept, name: str) -> None:
    logger = logging.getLogger(name)
    try:
        raise ValueError(FORGED) from KeyError(FORGED)
    except ValueError as problem:
        logger.error("%s %d %s: %s", FORGED, 7, problem, None, extra={"saga_key": FORGED, "attempt": 3})
        logger.exception("%s", FORGED)
        logger.error("%(key)s", {"key": FORGED})
        logger.error(FORGED.replace("%", ""))
        logger.error("%s", Mute())
    for text in kept.texts:
        assert FORGING.search(text) is None, text
        first, *below = text.splitlines()
        assert first.startswith("ERROR ")
        assert all(line.startswith("    ") for line in below), text
    assert kept.texts[0].startswith(f"ERROR {harmless(FORGED)} 7 ")
    assert vars(kept.records[0])["saga_key"] == harmless(FORGED)
    assert vars(kept.records[0])["attempt"] == 3
    assert "Mute cannot say what it is: RuntimeError" in kept.texts[-1]


class Raising(logging.Handler):
    """Raise when it is told something, as one does that writes to a database that is away."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ConnectionError("the database of the log is away")


@pytest.mark.parametrize("name", LOGGERS)
def test_a_handler_or_a_filter_that_raises_ends_nothing_that_is_logged(
    kept: Kept, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    logger, raising = logging.getLogger(name), Raising()

    def refuse(record: logging.LogRecord) -> bool:
        raise TypeError(f"cannot filter {record.msg}")

    logger.addHandler(raising)
    try:
        logger.error("first %d", 1)
    finally:
        logger.removeHandler(raising)
    logger.addFilter(refuse)
    try:
        logger.error("second")
    finally:
        logger.removeFilter(refuse)
    logger.error("third")
    assert kept.texts[-1] == "ERROR third"
    said = capfd.readouterr().err
    assert "ConnectionError: the database of the log is away" in said
    assert "TypeError: cannot filter second" in said


def test_every_logger_of_the_library_is_one_of_those() -> None:
    folder = Path(sagalog.__file__).parent
    named = {
        name
        for path in folder.rglob("*.py")
        for name in re.findall(r'getLogger\("([\w.]+)"\)', path.read_text("utf-8"))
    }
    assert named <= set(LOGGERS)
    elsewhere = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if "getLogger(" in path.read_text("utf-8")
        and path.relative_to(folder).parts[0] not in ("engine", "stores", "transports", "process_manager")
    ]
    # The command line and the process manager import the engine, which makes all records harmless; only what is in the
    # stores or the engine opens a store.
    assert set(elsewhere) <= {"logs.py", "opening.py", "cli/logs.py", "cli/commands/run.py"}


@pytest.mark.parametrize("formatter", [LineFormatter(), TextFormatter(), JsonFormatter()], ids=type)
def test_a_worker_logs_other_libraries_as_harmlessly_as_its_own(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as problem:
        record = logging.LogRecord("asyncio", logging.ERROR, "x.py", 1, "%s", (FORGED,), None)
        record.exc_info = (ValueError, problem, problem.__traceback__)
        record.saga_key = FORGED
    text = formatter.format(record)
    assert FORGING.search(text) is None
    first, *below = text.splitlines()
    if isinstance(formatter, JsonFormatter):
        assert below == []
        assert json.loads(first)["saga_key"] == FORGED
    else:
        assert below
        assert all(line.startswith("    ") for line in below)


def test_a_command_without_a_log_writes_the_warnings_of_others_harmlessly() -> None:
    last = logging.lastResort
    assert last is not None
    before = last.formatter
    try:
        keep_transitions_quiet()
        text = last.format(logging.LogRecord("asyncio", logging.WARNING, "x.py", 1, "%s", (FORGED,), None))
    finally:
        last.setFormatter(before)
    assert text == harmless(FORGED)


def test_several_lines_are_kept_where_they_are_meant(kept: Kept) -> None:
    logging.getLogger("sagalog.engine").error("%s", harmless_lines("one\ntwo\x1b"))
    assert kept.texts == ["ERROR one\ntwo\\x1b"]


# ---------------------------------------------------------------------------------------------------------- pictures


def test_a_picture_holds_no_control_and_no_markup_of_a_name() -> None:
    name = f'<script>alert("1")</script>&#{FORGED}'
    box = StepBox(name, name, True, False, name, name, name, name)
    chart = Chart(name, name, [[box, box]])
    drawn, flow = svg(chart), mermaid(chart)
    for text in (drawn, flow):
        assert FORGING.search(text) is None
        assert "<script>" not in text.partition("flowchart")[2] + drawn
    assert ET.fromstring(drawn).tag.endswith("svg")
    assert "INFO saga paid" not in [line.strip() for line in flow.splitlines()]


def test_a_saga_with_a_name_that_forges_is_never_drawn() -> None:
    with pytest.raises(Exception, match="expected plain text"):
        _ = Saga("a\u202eb", input=dict).definition
