"""`sagalog sql`: rows in every format, exact and harmless; and one line that says what is wrong."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from databases.catalogs import plain
from databases.stores import migrated_database
from pages.command_line import Ran, sagalog
from servers.postgres_roles import role_on

from sagalog.cli.selection import MOST_IN_A_TABLE

Sql = Callable[..., Ran]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found = migrated_database(request.param, tmp_path, request)
    assert isinstance(found, str)
    return found


@pytest.fixture
def sql(database: str) -> Sql:
    def run(*words: str, given: str | bytes = "") -> Ran:
        return sagalog("--db", database, "sql", *words, given=given, environment={"SAGALOG_STATEMENT_TIMEOUT": "2"})

    return run


def test_a_query_is_given_on_the_line_in_a_file_or_on_stdin(sql: Sql, tmp_path: Path) -> None:
    query = "SELECT name FROM saga_schema WHERE number = 1"
    (tmp_path / "query.sql").write_bytes(b"\xef\xbb\xbf-- A comment.\n" + query.encode() + b";\n")
    expected = Ran(0, '{"name":"sagas"}\n', "")
    assert sql(query, "-o", "jsonl") == expected
    assert sql("-", "-o", "jsonl", given=query) == expected
    assert sql("--file", str(tmp_path / "query.sql"), "-o", "jsonl") == expected
    assert sql(f"-- needs: saga_schema 1\n{query}", "-o", "jsonl") == expected
    assert sql(query).lines == ["name", "─────", "sagas"]


VALUES = (
    "SELECT NULL AS empty, 9223372036854775807 AS large, '=1+1' AS formula, 'a\x1b[31m\nb\u202e' AS text, -1 AS less"
)


def test_every_value_is_exact_in_json_and_harmless_everywhere(sql: Sql) -> None:
    row = {"empty": None, "large": 2**63 - 1, "formula": "=1+1", "text": "a\x1b[31m\nb\u202e", "less": -1}
    for output in ("json", "jsonl", "csv", "table"):
        ran = sql(VALUES, "-o", output)
        assert (ran.code, ran.err) == (0, "")
        assert not {"\x1b", "\u202e"} & set(ran.out)
    assert json.loads(sql(VALUES, "-o", "json").out) == [row]
    assert json.loads(sql(VALUES, "-o", "jsonl").out) == row
    [_, cells] = csv.reader(io.StringIO(sql(VALUES, "-o", "csv").out))
    assert cells == ["", "9223372036854775807", "'=1+1", r"a\x1b[31m\nb\u202e", "-1"]


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_what_json_has_no_number_for_is_text(sql: Sql) -> None:
    ran = sql(
        "SELECT 'NaN'::float8 AS nan, '-Infinity'::numeric AS least, 12345678901234567890.10::numeric AS exact, "
        "sum(number) AS total, true AS yes, '\\x00ff'::bytea AS bytes, '{\"a\": [1]}'::json AS data, "
        "timestamptz '2024-02-03 04:05:06+02' AS at, timestamptz '-infinity' AS never "
        "FROM saga_schema WHERE number < 3",
        *("-o", "json"),
    )
    assert ran.err == ""
    assert '"exact":12345678901234567890.10,"total":3,"yes":true' in ran.out
    [row] = json.loads(ran.out)
    assert (row["nan"], row["least"], row["bytes"]) == ("NaN", "-Infinity", r"\x00ff")
    assert (row["data"], row["at"], row["never"]) == ('{"a": [1]}', "2024-02-03 02:05:06+00", "-infinity")


def test_no_row_is_an_empty_list_and_a_line_of_titles(sql: Sql) -> None:
    query = "SELECT saga_id, status FROM saga_status"
    assert [sql(query, "-o", output).out for output in ("json", "jsonl", "csv")] == ["[]\n", "", "saga_id,status\n"]
    assert sql(query).lines[0] == "saga_id  status"


SERIES = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {}) SELECT x FROM n"


def test_a_table_is_of_the_first_rows_and_says_so_and_machines_get_all(sql: Sql) -> None:
    ran = sql(SERIES.format(MOST_IN_A_TABLE))
    assert (len(ran.lines), ran.err) == (MOST_IN_A_TABLE + 2, "")
    ran = sql(SERIES.format(MOST_IN_A_TABLE + 1))
    assert (len(ran.lines), ran.err) == (
        MOST_IN_A_TABLE + 2,
        "the first 1,000 rows; -o jsonl, json or csv writes all of them\n",
    )
    for output, number in (("jsonl", 2_345), ("csv", 2_346), ("json", 2_347)):
        assert len(sql(SERIES.format(2_345), "-o", output).lines) == number
    assert [row["x"] for row in json.loads(sql(SERIES.format(2_345), "-o", "json").out)] == list(range(1, 2_346))


WRONG = {
    "DELETE FROM saga_status": (2, "only a query is run here (SELECT, WITH or VALUES); nothing was changed"),
    "SELECT 1; DELETE FROM saga_status": (2, ""),
    "SELECT * FROM attempts": (2, "is saga_attempts meant?"),
    "SELECT * FROM saga_state": (2, "is saga_status meant?"),
    "SELECT * FROM nowhere": (2, "these are there: saga_actions, saga_attempts, saga_attributes"),
    "SELECT ended FROM saga_steps": (2, "ended_at"),
    "SELEC 1": (2, "SELEC"),
    "": (2, ""),
    SERIES.format(10**12).replace("SELECT x FROM", "SELECT max(x) FROM"): (
        5,
        "longer than 2 s; narrow it, or give it more time: SAGALOG_STATEMENT_TIMEOUT=20",
    ),
    "-- needs: saga_status 2\nSELECT 1": (
        2,
        "this SQL needs saga_status 2, and this database has saga_status 1: read in ",
    ),
    "-- needs: saga_status 1, saga_steps 2-3\nSELECT 1": (
        2,
        "needs saga_steps 2-3, and this database has saga_steps 1",
    ),
    "-- needs: saga_action 1\nSELECT 1": (2, "this database has no saga_action; is saga_actions meant?"),
    "-- needs: saga_status\nSELECT 1": (2, "expected `-- needs: saga_status 1, saga_attempts 1-2, projection "),
    "-- needs:\nSELECT 1": (2, "expected `-- needs: saga_status 1, saga_attempts 1-2, projection "),
    "-- needs: projection money 1\nSELECT 1": (2, "has no tables in this database yet: `sagalog projections rebuild"),
}


@pytest.mark.parametrize("query", WRONG)
@pytest.mark.parametrize("output", ["table", "json"])
def test_what_is_wrong_is_one_line_with_advice(sql: Sql, query: str, output: str) -> None:
    code, advice = WRONG[query]
    ran = sql(query, "-o", output)
    assert (ran.code, ran.out) == (code, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("error: ")
    assert advice in ran.err, ran.err


@pytest.mark.parametrize(
    "query",
    [
        "-- Why.\n-- needs: saga_status 1-3\n--needs: saga_steps 1\nSELECT 1 AS one",
        "SELECT 1 AS one\n-- needs: saga_status 9",
    ],
)
def test_sql_that_was_written_for_these_tables_is_run(sql: Sql, query: str) -> None:
    assert sql(query, "-o", "csv").out == "one\n1\n"


def test_one_query_is_asked_for(sql: Sql, tmp_path: Path) -> None:
    (tmp_path / "latin.sql").write_bytes("SELECT 'ä'".encode("latin-1"))
    assert (sql().code, "give one query" in sql().err) == (2, True)
    assert sql("SELECT 1", "--file", str(tmp_path / "latin.sql")).code == 2
    assert "expected UTF-8" in sql("--file", str(tmp_path / "latin.sql")).err
    assert sql("--file", str(tmp_path / "nowhere.sql")).code == 2


def test_a_database_in_memory_or_none_at_all_is_said(tmp_path: Path) -> None:
    ran = sagalog("--db", "memory://", "sql", "SELECT 1")
    assert (ran.code, "found memory://, which ends with the process" in ran.err) == (2, True)
    assert sagalog("--db", f"sqlite:///{tmp_path / 'none.db'}", "sql", "SELECT 1").code == 5
    assert list(tmp_path.iterdir()) == []


def test_an_audit_goes_through_the_same_door_and_says_what_it_was_written_for(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "app" / "projections" / "audit"
    folder.mkdir(parents=True)
    queries = {
        "fine": "-- Never.\n-- needs: saga_status 1\nSELECT 1 AS one WHERE 1 = 2",
        "older": "-- Never.\n-- needs: saga_status 7\nSELECT 1 AS one WHERE 1 = 2",
        "writes": "-- Never.\nDELETE FROM saga_schema",
    }
    for name, query in queries.items():
        (folder / f"{name}.sql").write_text(query, "utf-8")
    ran = sagalog("--db", database, "--app-dir", str(tmp_path / "app"), "audit", "-o", "json")
    found = {one["audit"]: one for one in json.loads(ran.out)}
    assert (ran.code, {name: one["result"] for name, one in found.items()}) == (
        1,
        {"fine": "ok", "older": "wrong", "writes": "wrong"},
    )
    assert "this SQL needs saga_status 7, and this database has saga_status 1" in found["older"]["error"]
    assert "only a query is run here" in found["writes"]["error"]
    with plain(database) as connection:
        assert connection.execute("SELECT count(*) FROM saga_schema").fetchone()[0] > 0
    shown = sagalog("--db", database, "--app-dir", str(tmp_path / "app"), "audit")
    assert "needs: saga_status 1" not in shown.out


def test_the_status_of_a_database_tells_the_version_of_each_table(database: str) -> None:
    ran = sagalog("--db", database, "db", "status")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split() for line in ran.lines]
    assert ["TABLE", "VERSION"] in lines
    assert ["saga_attempts", "1"] in lines


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_role_that_may_not_read_a_table_is_told_so(database: str) -> None:
    with role_on(database) as (role, address):
        granted = sagalog("--db", database, "db", "grants", "--read-only", role).lines
        with plain(database) as connection:
            for statement in granted:
                connection.execute(statement)
            connection.execute("CREATE TABLE theirs (x int)")
        ran = sagalog("--db", address, "sql", "SELECT * FROM theirs")
    assert (ran.code, ran.out) == (1, "")
    assert "permission denied for table theirs; grant this user what is missing" in ran.err
