"""`--where` chooses sagas for `list` and `export`; what cannot be read is one line, exit code 2, and reads nothing."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from databases.stores import opened
from pages.command_line import Ran, sagalog

from sagalog.clock import SystemClock
from sagalog.testing.contracts.store.attributes import with_attributes
from sagalog.testing.contracts.store.samples import SECOND, ending, start

HOUR = 3_600 * SECOND


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database with one saga that is stuck, an older one that is not, and one of another name."""
    now = SystemClock().now()
    path = f"sqlite:///{tmp_path / 'shop.db'}"
    with opened(path) as store:
        stuck, old = start("k-1", started_at=now - 2 * HOUR), start("k-2", started_at=now - 3 * HOUR)
        other = with_attributes(start("k-3", saga="returns", started_at=now), amount=250)
        store.append([stuck, old, other])
        store.append([ending(stuck, "stuck", error_type="Timeout", error_text="the Letter Shop is closed")])
    return path


def keys(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [json.loads(line)["saga_key"] for line in ran.lines]


def listed(database: str, *words: str) -> list[str]:
    return keys(sagalog("--db", database, "list", "-o", "jsonl", *words))


def test_a_list_is_narrowed_by_a_filter_and_by_its_other_options(database: str) -> None:
    assert listed(database, "--where", 'status=stuck and error~"letter shop" and age>10m') == ["k-1"]
    assert listed(database, "--where", "age>1h") == ["k-2", "k-1"]
    assert listed(database, "--where", "age>1h", "--status", "started") == ["k-2"]
    assert listed(database, "--where", "age>1h or attribute.amount>=100", "--saga", "returns") == ["k-3"]
    assert listed(database, "--where", "key=k-1", "--key", "k-2") == []


def test_the_next_page_of_a_list_has_its_filter(database: str) -> None:
    ran = sagalog("--db", database, "list", "--where", "key!='k 9'", "--limit", "2", "-o", "jsonl")
    following = shlex.split(ran.err.strip().removeprefix("next page: "))
    assert following[0] == "sagalog"
    assert sorted(keys(ran) + keys(sagalog(*following[1:]))) == ["k-1", "k-2", "k-3"]


def test_an_attribute_in_a_filter_that_no_saga_has_is_told(database: str) -> None:
    ran = sagalog("--db", database, "list", "--where", "not attribute.amont=none")
    assert (ran.code, ran.err) == (0, "no saga matches; no saga has an attribute amont: there are amount\n")


def exported(database: str, *words: str) -> tuple[list[str], str]:
    ran = sagalog("--db", database, "export", *words)
    assert ran.code == 0, ran.err
    return sorted({json.loads(line)["saga_id"] for line in ran.lines}), ran.err


def test_an_export_has_the_sagas_that_meet_a_filter(database: str) -> None:
    rows = [json.loads(line) for line in sagalog("--db", database, "list", "-o", "jsonl").lines]
    by_key = {row["saga_key"]: row["saga_id"] for row in rows}
    assert exported(database, "--where", "status=stuck") == ([by_key["k-1"]], "")
    assert exported(database, "--all", "--where", "age>1h") == (sorted([by_key["k-1"], by_key["k-2"]]), "")
    assert exported(database, "--where", "run=1", "--saga", "returns") == ([by_key["k-3"]], "")
    assert exported(database, "--all", "--saga", "returns") == ([by_key["k-3"]], "")
    assert exported(database, "--where", "run=2") == ([], "no saga matches\n")


@pytest.mark.parametrize("words", [["k-1", "--where", "run=1"], ["--all", "k-1"], []])
def test_an_export_is_of_named_sagas_or_of_those_that_meet_a_filter(database: str, words: list[str]) -> None:
    ran = sagalog("--db", database, "export", *words)
    assert (ran.code, ran.out) == (2, "")
    assert "name the sagas to export, or give --all or --where" in ran.err


@pytest.mark.parametrize("command", [["list"], ["export"], ["export", "--all"]])
@pytest.mark.parametrize("where", ["", "agee>10m", "age>10", "status=stuk", "key='a", "(key=a", "key=a\nor\x1b[2J"])
def test_what_cannot_be_read_is_one_line_and_reads_nothing(tmp_path: Path, command: list[str], where: str) -> None:
    """There is no such database, which is what would be said if it was opened."""
    ran = sagalog("--db", f"sqlite:///{tmp_path / 'none.db'}", *command, "--where", where)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: where, at character ")
    assert len(ran.err.splitlines()) == 1
    assert "\x1b" not in ran.err
    assert "rite for example status=stuck" in ran.err


def test_what_reads_a_filter_is_loaded_only_if_there_is_one(database: str) -> None:
    script = (
        "import sys\nfrom sagalog.cli import main\n"
        "try: main(sys.argv[1:], prog_name='sagalog')\nexcept SystemExit: pass\n"
        "print('sagalog.store.where' in sys.modules, file=sys.stderr)"
    )
    for more, loaded in ([], "False"), (["--where", "run=1"], "True"):
        words = [sys.executable, "-c", script, "--db", database, "list", *more]
        ran = subprocess.run(words, check=True, capture_output=True, text=True)
        assert ran.stderr == f"{loaded}\n"
