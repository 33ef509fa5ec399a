"""The SQL of the two databases: blocks that do the same have the same name, and columns are written out of the rows."""

import re
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import asdict, fields, replace

from sagalog.store import InboxRow, StatusRow, StepRow
from sagalog.stores import columns, queries
from sagalog.stores.columns import INBOX, INDEXED, MESSAGE, STATUS, STEP, TABLES, written_out
from sagalog.stores.postgres.connection import BLOCKS as POSTGRES
from sagalog.stores.sqlite.writing import BLOCKS as SQLITE
from sagalog.testing.contracts.store.message_samples import event
from sagalog.testing.contracts.store.samples import start

STORES = Path(queries.__file__).parent
DIALECTS = {"sqlite": SQLITE, "postgres": POSTGRES}

# Why a block stands in one dialect alone.
ONLY_IN_SQLITE = {
    "each table has a statement of its own: one statement is one call into the file, and no round trip": {
        *("gate", "key_taken", "upsert_command"),
        *(
            "upsert_attribute",
            "forget_attribute",
            "take_inbox",
            "retry_inbox",
            "park",
            "delivered",
            "known_messages",
        ),
    },
    "sagas are looked for and then taken, by nobody else at the same time": {"anything_due", "take", "taken"},
    "the dead are looked for and then freed, one by one": {"dead_workers", "give_back_some"},
    "a block says by which index it looks, where PostgreSQL plans for the values at hand": {
        *("find_open", "find_with_an_error", "find_in_trouble", "find_named"),
        *("unmatched_named", "unmatched_consumed", "unmatched_correlated", "unmatched_one"),
        "unmatched_alike",
    },
    "one statement writes several tables by triggers, where PostgreSQL has common table expressions": {
        *("appending", "appending_start", "appending_move", "appending_more"),
    },
    "the recorder of PostgreSQL can be told the name of its table": {"insert_tracking", "max_tracking_id"},
    "a file may have an encoding that cannot hold every text": {"encoding"},
    "a lock on a file is had before its row is written, and what is left of others is tidied up": {
        *("life_locks", "renew_with_a_sign"),
    },
    "an array can be added to, where a list is made of rows": {"of_these"},
}
ONLY_IN_POSTGRES = {
    "a whole batch is one statement and one round trip": {"attach", "attribute", "post"},
    "sagas are looked for and taken in one statement, past what others have locked": {"claim", "claim_due", "due_rows"},
    "the dead are looked for and freed in one statement": {"forget_the_dead", "free_some"},
    "transactions are begun and ended by blocks, and may be told what they wait for": {
        *("begin", "begin_read_only", "commit", "rollback", "rows_soon", "scans_allowed", "not_locked"),
    },
    "a connection has settings of its own, and so has a server": {
        *("session", "session_on_17", "reader_session", "writer_session", "no_timeout", "durability"),
    },
    "one transaction at a time writes the log, which a file sees to by itself": {"lock_log"},
    "one process at a time changes the schema, which a file sees to by itself": {"try_lock_schema", "who_locks_schema"},
    "psycopg is not to know that a part of a transaction was rolled back": {"begin_part", "end_part", "undo_part"},
    "SQL of a user is the query of a cursor": {"select", "select_page", "select_session"},
    "others can be told that something was written": {"listen", "notify", "notify_everybody"},
    "an array of numbers needs a cast, where SQLite takes rows as they are": {"rewrite_attribute"},
    "a join is planned for many rows, where SQLite looks up one after the other": {"its_event"},
    "a lock of a session takes a connection, and nothing stands before the row of a lease": {
        *("backend", "life_session", "lock_life", "show_life", "renew_without_a_sign"),
    },
    "there are schemas, roles and privileges": {
        *("current_schema", "database", "may_create", "lacking", "lacking_sequences", "for_grants"),
    },
}


def test_a_block_stands_in_both_dialects_or_there_is_a_reason() -> None:
    assert set(SQLITE) - set(POSTGRES) == set().union(*ONLY_IN_SQLITE.values())
    assert set(POSTGRES) - set(SQLITE) == set().union(*ONLY_IN_POSTGRES.values())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_block_is_used(dialect: str) -> None:
    modules = [*(STORES / dialect).glob("*.py"), STORES / "queries.py", STORES / "searching.py"]
    modules.append(STORES / "projected" / f"{dialect}.py")
    python = "".join(module.read_text(encoding="utf-8") for module in modules)
    sql = "".join(DIALECTS[dialect].values())
    used_elsewhere = {"for_grants"}
    unused = {name for name in DIALECTS[dialect] if f'"{name}"' not in python and "{" + name + "}" not in sql}
    assert unused <= used_elsewhere


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("table", TABLES)
def test_no_block_lists_the_columns_of_a_row(table: str, dialect: str) -> None:
    listed = re.compile(r"\b" + r"\s*,\s*".join(TABLES[table].all.names[:5]) + r"\b")
    assert [name for name, text in DIALECTS[dialect].items() if listed.search(text)] == []


# ---------------------------------------------------------------------------------------------- columns


def test_the_columns_of_a_table_are_the_fields_of_its_row() -> None:
    assert STATUS.all.names == tuple(field.name for field in fields(StatusRow))
    assert STEP.all.names == tuple(field.name for field in fields(StepRow))
    assert INBOX.all.names == tuple(field.name for field in fields(InboxRow))
    assert MESSAGE.all.names == ("position", *INDEXED)


def test_values_stand_in_the_order_of_the_columns() -> None:
    row = replace(start("o-1", owner="w1").status, position=7)
    assert dict(zip(STATUS.all.names, STATUS.all.values(row), strict=True)) == asdict(row)
    assert dict(zip(STATUS.changing.names, STATUS.changing.values(row), strict=True)).items() <= asdict(row).items()
    envelope = event("m-1", saga_id="s-1")
    assert dict(zip(MESSAGE.all.names, MESSAGE.all.values((3, envelope)), strict=True)) == {
        "position": 3,
        **{column: getattr(envelope, field) for column, field in INDEXED.items()},
    }


def test_a_decision_changes_all_but_what_a_saga_was_started_with() -> None:
    known_by = ["saga_id", "saga_name", "saga_version", "definition", "saga_key", "run"]
    from_the_start = ["correlation_id", "causation_id", "started_at"]
    by_the_store = ["position"]
    assert set(STATUS.changing.names) == set(STATUS.all.names) - {*known_by, *from_the_start, *by_the_store}


def test_what_is_json_is_json_on_postgresql() -> None:
    kinds = dict(zip(STEP.all.names, STEP.all.kinds, strict=True))
    assert {name for name, kind in kinds.items() if kind == "j"} == {"result"}
    assert {name for name, kind in kinds.items() if kind == "b"} == {
        *("ordinal", "attempts", "started_at", "ended_at", "position"),
    }


def test_a_column_of_another_kind_is_not_taken_for_text() -> None:
    class Row(Struct):
        share: float | None

    with pytest.raises(TypeError, match=r"share: expected a column of int or str, perhaps None, found float"):
        columns._table(Row, fixed=())


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("{saga_inbox.changing}", "due_at, status, attempts, error_type, error_text"),
        ("{saga_inbox.changing but status}", "due_at, attempts, error_type, error_text"),
        ("{saga_inbox.changing of i}", "i.due_at, i.status, i.attempts, i.error_type, i.error_text"),
        (
            "{saga_commands.changing from new}",
            "status = new.status, sendings = new.sendings, answered_at = new.answered_at",
        ),
        ("{saga_inbox.changing as marks}", "?, ?, ?, ?, ?"),
        ("{saga_inbox.changing as numbers}, $2", "$3, $4, $5, $6, $7, $2"),
        ("{saga_inbox.changing as arrays}", "$1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[]"),
    ],
)
def test_a_list_of_columns_is_written_out(asked: str, written: str) -> None:
    assert written_out({"block": asked}) == {"block": written}


def test_arrays_are_numbered_on_from_what_the_block_numbers_itself() -> None:
    block = "{saga_inbox.changing as arrays}, $2, $1, {saga_messages.given as arrays}"
    numbers = [int(number) for number in re.findall(r"\$(\d+)", written_out({"block": block})["block"])]
    assert numbers == [3, 4, 5, 6, 7, 2, 1, *range(8, 8 + len(INDEXED))]


def test_a_block_is_written_out_where_another_asks_for_it() -> None:
    look = "SELECT {row} FROM saga_inbox AS i"
    with pytest.raises(KeyError):
        written_out({"look": look})
    assert written_out({"look": look, "row": "{saga_inbox.changing of i}, i.body"})["look"] == (
        "SELECT i.due_at, i.status, i.attempts, i.error_type, i.error_text, i.body FROM saga_inbox AS i"
    )
