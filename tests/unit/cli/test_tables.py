"""Tables on wide and narrow terminals and in pipes."""

import io
from typing import Any

import pytest

from sagalog.cli import table
from sagalog.cli.table import Column, plain, table_of

ROWS = [("0123456789-0123456789", "order-1", 12, "it went wrong " * 5), ("x", "order-22", 1_234, "")]
COLUMNS: tuple[Column[tuple[str, str, int, str]], ...] = (
    Column("ID", lambda row: row[0], spare=1),
    Column("KEY", lambda row: row[1]),
    Column("COUNT", lambda row: f"{row[2]:,}", right=True),
    Column("ERROR", lambda row: row[3], narrows="cut"),
)


def written(monkeypatch: pytest.MonkeyPatch, width: int, columns: Any = COLUMNS) -> list[str]:
    monkeypatch.setattr(table, "PIPE_WIDTH", width)
    stream = io.StringIO()
    table.console(stream).print(table_of(ROWS, columns))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_numbers_stand_to_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(monkeypatch, 200)
    end = lines[0].index("COUNT") + len("COUNT")
    assert lines[2][:end].endswith(" 12")
    assert lines[3][:end].endswith("1,234")


def test_a_pipe_gets_every_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "it went wrong it went wrong it went wrong it went wrong it went wrong" in written(monkeypatch, 1_000)[2]


def test_a_narrow_terminal_cuts_what_may_be_cut_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(monkeypatch, 70)
    assert "0123456789-0123456789  order-1 " in lines[2]
    assert lines[2].endswith("…")
    assert max(map(len, lines)) <= 70


def test_a_very_narrow_terminal_leaves_out_what_can_be_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(monkeypatch, 45)
    assert "ID" not in lines[0]
    assert "order-1 " in lines[2]


def test_a_long_error_goes_on_below_where_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (*COLUMNS[1:3], Column[tuple[str, str, int, str]]("ERROR", lambda row: row[3], narrows="wrap"))
    text = " ".join(" ".join(written(monkeypatch, 45, columns)).split())
    assert text.count("wrong") == 5


def test_text_of_services_cannot_move_the_cursor() -> None:
    assert plain("a\x1b[2Jb\r\nc\td") == "a\\x1b[2Jb\\r\\nc\\td"
    assert plain(None) == ""
