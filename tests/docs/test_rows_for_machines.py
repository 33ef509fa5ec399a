"""What `-o json` gives is documented, command by command, column by column: scripts are written from that page."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from pages import sagalog_commands
from pages.command_line import sagalog
from pages.pages import page
from sagas.shop_demo import FinishedDemo

from sagalog.cli.acting import ActionCommand
from sagalog.cli.options import RowsCommand

CLI = page("reference/cli.md")
SQL = page("reference/sql.md")
CODE = re.compile(r"`([^`]+)`")
ROWS = {command: row[1] for row in CLI.rows("command and `-o`") for command in CODE.findall(row[0])}
STEP = "process_payment"
ACTIONS = {name for name, one in sagalog_commands.every_command() if isinstance(one, ActionCommand)}


def columns_of_table(table: str) -> list[str]:
    rows = SQL.section(table).partition("| column |")[2].partition("\n\n")[0].splitlines()
    return [CODE.findall(row.split("|")[1])[0] for row in rows if row.startswith("| `")]


def documented(command: str) -> list[str]:
    """Return the columns that the page names; a link to a table stands for all of its columns."""
    found: list[str] = []
    for table, name in re.findall(r"\[`(\w+)`\]\(sql\.md|`([^`]+)`", ROWS[command]):
        found += columns_of_table(table) if table else [name]
    return found


@pytest.fixture(scope="module")
def shop(finished_demo: FinishedDemo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo's databases, with a message that nobody could take."""
    folder = tmp_path_factory.mktemp("rows")
    shutil.copytree(finished_demo.folder, folder, dirs_exist_ok=True)
    given = {"unmatched_id": "u-1", "consumer": "door", "message_id": "raw-1", "kind": "unreadable", "name": "",
             "source": "here", "reason": "a test", "message": "{}", "parked_at": 1, "status": "parked"}  # fmt: skip
    with sqlite3.connect(folder / "demo.db") as connection:
        names, marks = ", ".join(given), ", ".join("?" * len(given))
        connection.execute(f"INSERT OR IGNORE INTO saga_unmatched ({names}) VALUES ({marks})", list(given.values()))
        # A parked event, and a row that differs from what the log gives.
        parked = ("open-sagas", 1, 1, "lane", "SagaStuck", None, "parked", 1, 1, "ValueError", "a test", 1)
        marks = ", ".join("?" * len(parked))
        connection.execute(f"INSERT INTO saga_projection_events VALUES ({marks})", parked)
        connection.execute("DELETE FROM open_sagas_g1")
        for status in ("running", "paused", "done", "preparing"):
            job = (
                f"j-{status}",
                "retry",
                "{}",
                "status=stuck",
                "ann",
                "a test",
                status,
                None,
                1,
                None,
                1,
                0,
                1,
                1,
                None,
            )
            connection.execute(f"INSERT INTO saga_jobs VALUES ({', '.join('?' * len(job))})", job)
    return folder


def needed(verb: str, saga_id: str, shop: Path) -> list[str]:
    """Return the arguments of an action on an order, with values that fit its types."""
    order = json.loads(sagalog("show", saga_id, "-o", "json", shop=shop).out)
    payment = next((one["result"] for one in order["steps"] if one["step"] == STEP), None)
    found = {
        "skip": [STEP, "--result", json.dumps(payment)],
        "resolve": [STEP, "--did-not-happen"],
        "amend": ["--input", json.dumps(order["input"])],
        "reschedule": ["--in", "1h"],
        "fork": [STEP],
    }
    return found.get(verb, [])


@pytest.mark.parametrize("command", ROWS)
def test_every_column_of_a_row_for_machines_is_documented_and_no_other(command: str, shop: Path) -> None:
    name, _, output = command.partition(" -o ")
    given = {
        "unmatched show": ["u-1"],
        "list": ["--saga", "order-fulfilment"],
        "unmatched list": [],
        "audit": [],
        "check": [],
    }
    given |= {"projections status": [], "projections parked": ["open-sagas"], "projections verify": ["open-sagas"]}
    given |= {"jobs list": [], "jobs show": ["j-done"], "jobs watch": ["j-done"], "jobs pause": ["j-running"]}
    given |= {"jobs unpause": ["j-paused"], "jobs stop": ["j-preparing"]}
    given["sql"] = ["SELECT 1 AS count, 2 AS count"]
    if name not in given and not name.startswith("db "):
        failed = sagalog("list", "--error", "carriermute", "--limit", "1", "-o", "json", shop=shop)
        saga_id = json.loads(failed.out)[0]["saga_id"]
        given[name] = [f"{saga_id}@1", saga_id] if name == "diff" else [saga_id]
        if name in ACTIONS:
            given[name] = [saga_id, *needed(name, saga_id, shop), "--actor", "ann", "--reason", "x", "--dry-run"]
    ran = sagalog(*name.split(), *given.get(name, []), "-o", output or "jsonl", shop=shop)
    first = json.loads(ran.out if output == "json" else ran.out.splitlines()[0])
    assert list(first) == documented(command)


def test_every_command_that_gives_rows_is_among_them() -> None:
    giving = {name for name, one in sagalog_commands.every_command() if isinstance(one, RowsCommand)}
    assert giving == {re.split(r" (-o|--trace)", command)[0] for command in ROWS}
