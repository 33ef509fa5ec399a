"""What a projection may be declared with, and what is refused, with what to write instead."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sagalog import Event
from sagalog.errors import DefinitionError
from sagalog.process_manager import ProcessManager
from sagalog.projections import Metadata, Projection, SagaHappening, SagaStarted, StepSucceeded, Tables
from sagalog.projections.handlers import EventHandler
from sagalog.saga.happenings import HAPPENINGS

SQL = "CREATE TABLE {rows} (a TEXT);\n"


class OrderPlaced(Event):
    order_id: str


def projection(**options: Any) -> Projection:
    given: dict[str, Any] = {"name": "rows", "sql": SQL} | options
    return Projection(**given)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": ""}, "the name of a projection: expected 1 to 200 bytes"),
        ({"version": 0}, "version must be a whole number from 1"),
        ({"on_failure": "skip"}, 'on_failure= is "park" or "stop", found \'skip\''),
        ({"retry": 3}, r"retry= takes a Retry.*, found 3"),
        ({"name": "sagalog"}, "projection sagalog: the tables of sagalog itself are called so"),
        ({"batch": 0}, "batch= is from 1 to 10,000, found 0"),
        ({"sql": 7}, "sql= takes the name of a file or its text, found 7"),
        ({"sql": "missing.sql"}, r"missing.sql cannot be read"),
        ({"sql": "SELECT 1;\n"}, "expected CREATE of a table, a view or an index before the first name"),
        ({"sql": "CREATE TABLE rows (a TEXT);\n"}, r"write \{rows\} in braces"),
        ({"sql": "CREATE TABLE rows (a TEXT);"}, r"write \{rows\} in braces"),
        ({"sql": "CREATE INDEX {i} ON {rows} (a);\n"}, "it makes no table"),
        ({"sql": SQL + "-- name: add\nINSERT INTO {row} VALUES (1);"}, r"add: \{row\} is nothing that it makes"),
        ({"sql": "CREATE TABLE {%s} (a TEXT);\n" % ("x" * 49)}, "at most 48 letters, found 49"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_declared(options: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said):
        projection(**options)


def given_a_number(event: int) -> None: ...
def given_every_event(event: Event) -> None: ...
def given_a_service(event: SagaStarted, path: Path) -> None: ...
async def not_at_once(event: SagaStarted) -> None: ...


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (given_a_number, "expected its first parameter to be an event, .* found int"),
        (given_every_event, "expected its first parameter to be an event, .* found Event"),
        (given_a_service, "parameter path is Path; a handler may ask for Metadata, Tables"),
        (not_at_once, "it is async, and runs inside a transaction in a thread"),
        ("no function", "it is no function"),
    ],
)
def test_a_handler_that_cannot_be_called_is_refused(handler: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        projection().on(handler)


def test_conditions_that_say_nothing_of_an_event_are_refused() -> None:
    def started(event: SagaStarted) -> None: ...
    def placed(event: OrderPlaced) -> None: ...

    with pytest.raises(DefinitionError, match="step= goes with events of steps, and SagaStarted is none"):
        projection().on(step="pay")(started)
    with pytest.raises(DefinitionError, match="saga= and step= go with events of sagas, and OrderPlaced is none"):
        projection().on(saga="sell")(placed)
    with pytest.raises(DefinitionError, match="saga= takes a saga or its name, found 7"):
        no_saga: Any = 7
        projection().on(saga=no_saga)(started)


def test_parameters_are_bound_by_type_and_unions_are_several_events() -> None:
    found = projection()

    @found.on(saga="sell", step="pay")
    def moved(event: StepSucceeded, rows: Tables, about: Metadata, connection: sqlite3.Connection) -> None: ...

    @found.on
    def either(event: SagaStarted | StepSucceeded | OrderPlaced) -> None: ...

    first, second = found.handlers.of(StepSucceeded)
    assert first == EventHandler(
        "moved", moved, (("rows", "tables"), ("about", "metadata"), ("connection", "connection")), "sell", "pay"
    )
    assert [second.name] == [one.name for one in found.handlers.of(SagaStarted)] == ["either"]
    assert list(found.handlers.by_message) == ["OrderPlaced"]


def test_what_takes_rows_out_is_declared_like_a_handler_and_apart_from_them() -> None:
    found = projection()

    @found.forget
    def forgotten(event: SagaStarted | OrderPlaced, tables: Tables) -> None: ...

    with pytest.raises(DefinitionError, match="saga= and step= go with events of sagas, and OrderPlaced is none"):
        found.forget(saga="sell")(forgotten)
    assert [one.name for one in found.forgetting.of(SagaStarted)] == ["forgotten"]
    assert list(found.forgetting.by_message) == ["OrderPlaced"]
    assert found.handlers.of(SagaStarted) == ()
    with pytest.raises(DefinitionError, match="has no handler"):
        found.check()


def test_a_handler_of_everything_has_every_event() -> None:
    found = projection()

    @found.on
    def heard(event: SagaHappening) -> None: ...

    assert all(len(found.handlers.of(kind)) == 1 for kind in HAPPENINGS)


def test_a_file_is_looked_for_beside_the_module_that_declares(tmp_path: Path) -> None:
    (tmp_path / "rows.sql").write_text(SQL)
    (tmp_path / "module.py").write_text(
        "from sagalog.projections import Projection\nfound = Projection('rows', sql='rows.sql')\n"
    )
    names: dict[str, Any] = {"__file__": str(tmp_path / "module.py")}
    exec((tmp_path / "module.py").read_text(), names)
    assert names["found"].sql.shown == ("rows",)


def test_a_process_manager_refuses_projections_that_do_not_fit_together() -> None:
    with pytest.raises(DefinitionError, match="projection rows has no handler"):
        ProcessManager("memory://", projections=[projection()])
    one, two = projection(), projection()
    for found in (one, two):
        found.on(lambda_like)
    with pytest.raises(DefinitionError, match="two projections are rows version 1"):
        ProcessManager("sqlite:///x.db", projections=[one, two])


def lambda_like(event: SagaStarted) -> None: ...
