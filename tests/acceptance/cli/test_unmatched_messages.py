"""Messages that nobody could take: listed, shown, delivered again and discarded on the command line."""

import asyncio
import csv
import io
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases.stores import EACH_KIND, migrated_database, opened
from msgspec.structs import replace
from pages.command_line import Ran, sagalog

from sagalog import Event, Participant, Retry
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Posting, Store, UnmatchedQuery, UnmatchedRow
from sagalog.testing.contracts.store.message_samples import event, published, unmatched

WHO = ("--actor", "ann", "--reason", "the handler is mended")


class Database:
    """A database with parked messages, and the command line on it."""

    def __init__(self, address: str, store: Store) -> None:
        self.address = address
        self.store = store

    def sagalog(self, *words: str) -> Ran:
        return sagalog(*words, "--db", self.address)

    def park(self, number: int = 1, **columns: Any) -> list[UnmatchedRow]:
        """Park so many messages, the oldest first."""
        places = published(self.store, *[event(f"m-{n}") for n in range(number)])
        rows = [replace(unmatched(place, unmatched_id=f"u-{n:03}"), **columns) for n, place in enumerate(places)]
        self.store.post([Posting(parked=row) for row in rows])
        return rows

    def row(self, unmatched_id: str = "u-000") -> UnmatchedRow:
        (row,) = self.store.unmatched(UnmatchedQuery(statuses=(), unmatched_id=unmatched_id))
        return row


@pytest.fixture(params=EACH_KIND[1:])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    address = migrated_database(request.param, tmp_path, request)
    assert isinstance(address, str)
    with opened(address) as store:
        yield Database(address, store)


def listed(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [json.loads(line)["unmatched_id"] for line in ran.lines]


def test_what_is_parked_is_listed_newest_first(database: Database) -> None:
    database.park(3)
    ran = database.sagalog("unmatched", "list")
    assert (ran.code, ran.err) == (0, "")
    title, _, *rows = ran.lines
    assert title.split() == ["ID", "CONSUMER", "NAME", "STATUS", "PARKED", "REASON"]
    assert [row.split()[0] for row in rows] == ["u-002", "u-001", "u-000"]
    assert "saga:order-fulfilment  OrderPlaced  parked" in rows[0]
    assert rows[0].endswith("no saga has the key o-1")


def test_nothing_parked_is_said_so(database: Database) -> None:
    assert database.sagalog("unmatched", "list").err == "no message is parked\n"
    assert database.sagalog("unmatched", "list", "--name", "X").err == "no message matches\n"
    assert database.sagalog("unmatched", "list", "-o", "json").out == "[]\n"


def test_messages_are_listed_by_status_name_and_consumer(database: Database) -> None:
    database.park(4)
    odd = unmatched((9, event("m-9", name="Odd")), "participant:mail", unmatched_id="u-900")
    database.store.post([Posting(parked=odd)])
    database.store.settle_unmatched("u-001", "discarded", "ann", "no", 1)
    database.store.settle_unmatched("u-002", "redelivering", "ann", "yes", 1)

    def ids(*words: str) -> list[str]:
        return listed(database.sagalog("unmatched", "list", *words, "-o", "jsonl"))

    assert ids() == ["u-900", "u-003", "u-000"]
    assert ids("--status", "discarded") == ["u-001"]
    assert ids("--status", "discarded", "--status", "redelivering") == ["u-002", "u-001"]
    assert ids("--status", "any") == ["u-900", "u-003", "u-002", "u-001", "u-000"]
    assert ids("--name", "Odd") == ["u-900"]
    assert ids("--consumer", "participant:mail") == ["u-900"]
    assert ids("--consumer", "nobody") == []


def test_a_page_names_the_next_one(database: Database) -> None:
    database.park(5)
    words = ["unmatched", "list", "--name", "OrderPlaced", "--limit", "2", "-o", "jsonl"]
    found: list[str] = []
    while True:
        ran = database.sagalog(*words)
        found += listed(ran)
        if not ran.err:
            break
        _, _, command = ran.err.strip().partition("next page: ")
        words = shlex.split(command)[1:]
        del words[words.index("--db") : words.index("--db") + 2]
    assert found == ["u-004", "u-003", "u-002", "u-001", "u-000"]


def test_every_format_holds_the_same(database: Database) -> None:
    database.park()
    (one,) = json.loads(database.sagalog("unmatched", "list", "-o", "json").out)
    (row,) = csv.DictReader(io.StringIO(database.sagalog("unmatched", "list", "-o", "csv").out))
    assert one["message"]["data"] == {"order_id": "o-1"}
    assert json.loads(row.pop("message")) == one.pop("message")
    assert row == {name: "" if value is None else str(value) for name, value in one.items()}


def test_one_is_shown_with_its_message_and_what_was_done(database: Database) -> None:
    database.park()
    database.store.settle_unmatched("u-000", "discarded", "ann", "a test", 1_700_000_000_000_000)
    shown = database.sagalog("unmatched", "show", "u-000")
    assert (shown.code, shown.err) == (0, "")
    assert "reason       no saga has the key o-1" in shown.out
    assert "event        OrderPlaced" in shown.out
    assert "by ann: a test" in shown.out
    assert '\n  {\n    "id": "m-0",\n' in shown.out
    assert '      "order_id": "o-1"\n' in shown.out
    as_json = json.loads(database.sagalog("unmatched", "show", "u-000", "-o", "json").out)
    assert (as_json["actor"], as_json["message"]["name"]) == ("ann", "OrderPlaced")


def test_text_that_is_no_message_is_shown_harmlessly(database: Database) -> None:
    database.park(message='{"not": "closed\n\x1b[31mred', reason="not JSON\x1b[2J")
    shown = database.sagalog("unmatched", "show", "u-000")
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert '{"not": "closed' in shown.out
    assert json.loads(database.sagalog("unmatched", "show", "u-000", "-o", "json").out)["message"].startswith('{"not"')


def test_messages_are_delivered_again_and_say_who_wanted_it(database: Database) -> None:
    """Invariants 7 and 49."""
    database.park(3)
    ran = database.sagalog("unmatched", "redeliver", "u-000", "u-002", *WHO)
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines == [
        "redeliver OrderPlaced m-0 for saga:order-fulfilment",
        "redeliver OrderPlaced m-2 for saga:order-fulfilment",
    ]
    row = database.row()
    assert (row.status, row.actor, row.settled_reason) == ("redelivering", "ann", "the handler is mended")
    assert [database.row(f"u-00{n}").status for n in range(3)] == ["redelivering", "parked", "redelivering"]


def test_a_message_is_discarded(database: Database) -> None:
    """Invariant 49."""
    database.park(2)
    assert database.sagalog("unmatched", "discard", "u-000", *WHO).lines == [
        "discard OrderPlaced m-0 for saga:order-fulfilment"
    ]
    assert [database.row(f"u-00{n}").status for n in range(2)] == ["discarded", "parked"]
    assert database.sagalog("unmatched", "redeliver", "u-001", *WHO).code == 0
    assert database.sagalog("unmatched", "redeliver", "u-001", *WHO).code != 0
    assert database.sagalog("unmatched", "discard", "u-001", *WHO).code == 0
    assert database.row("u-001").status == "discarded"


def test_all_that_match_are_meant_by_all(database: Database) -> None:
    database.park(3)
    odd = unmatched((9, event("m-9", name="Odd")), "participant:mail", unmatched_id="u-900")
    database.store.post([Posting(parked=odd)])
    would = database.sagalog("unmatched", "discard", "--all", "--name", "OrderPlaced", "--dry-run", *WHO)
    assert (len(would.lines), would.lines[0]) == (3, "would discard OrderPlaced m-2 for saga:order-fulfilment")
    assert database.row("u-002").status == "parked"
    assert len(database.sagalog("unmatched", "discard", "--all", "--name", "OrderPlaced", *WHO).lines) == 3
    assert listed(database.sagalog("unmatched", "list", "-o", "jsonl")) == ["u-900"]
    nothing = database.sagalog("unmatched", "redeliver", "--all", "--consumer", "nobody", *WHO)
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no message is parked that matches\n")


@pytest.mark.parametrize("what", ["redeliver", "discard"])
@pytest.mark.parametrize("which", [("--all",), ("--all", "--name", "OrderPlaced"), ("u-000", "u-001")])
def test_a_dry_run_needs_no_reason_and_settles_nothing(
    database: Database, what: str, which: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise OSError("nobody is logged in")

    # Nor does it need to know who asks.
    monkeypatch.setattr("getpass.getuser", nobody)
    database.park(2)
    ran = database.sagalog("unmatched", what, *which, "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(ran.lines) == [f"would {what} OrderPlaced m-{n} for saga:order-fulfilment" for n in range(2)]
    assert [database.row(f"u-00{n}").status for n in range(2)] == ["parked", "parked"]
    assert "Missing option '--reason'" in database.sagalog("unmatched", what, *which).err


def test_whoever_is_logged_in_is_the_actor(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.park()
    monkeypatch.setattr("getpass.getuser", lambda: "bob")
    assert database.sagalog("unmatched", "discard", "u-000", "--reason", "a test").code == 0
    assert database.row().actor == "bob"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("redeliver", "u-9", *WHO), 3, "no unmatched message has the id 'u-9'; `sagalog unmatched list` shows"),
        (("show", "u-9"), 3, "no unmatched message has the id 'u-9'"),
        (("list", "--after", "u-9"), 3, "no unmatched message has the id 'u-9'"),
        (("redeliver", "u-000", "u-001", *WHO), 4, "u-001 is discarded by ann, not parked; nothing was done"),
        (("discard", *WHO), 2, "name the messages by their ids, or give --all"),
        (("discard", "u-000", "--all", *WHO), 2, "name the messages by their ids, or give --all"),
        (("discard", "u-000", "--name", "X", *WHO), 2, "--name and --consumer narrow --all"),
        (("discard", "u-000"), 2, "Missing option '--reason'"),
        (("discard", "u-000", "--actor", "a\nb", "--reason", "c"), 2, "the actor: expected plain text"),
        (("discard", "u-000", "--actor", "a", "--reason", ""), 2, "the reason: expected 1 to 4000 characters"),
        (("show", "a\0b"), 2, "the id: expected plain text"),
        (("list", "--status", "lost"), 2, "'lost' is not one of"),
    ],
)
def test_bad_commands_say_what_to_do_in_one_line(
    database: Database, words: tuple[str, ...], code: int, said: str
) -> None:
    database.park(2)
    database.store.settle_unmatched("u-001", "discarded", "ann", "no", 1)
    ran = database.sagalog("unmatched", *words)
    assert (ran.code, ran.err.count("\n")) == (code, 1)
    assert ran.err.startswith("error: ")
    assert said in ran.err
    assert database.row().status == "parked"


class Sneezed(Event):
    loudly: bool


def test_a_worker_takes_what_the_command_line_lets_be_delivered_again(database: Database) -> None:
    """Invariant 7: the operator is in another process than the worker that handles."""
    clinic = Participant("clinic", retry=Retry(attempts=2, delay=0.05))
    seen: list[bool] = []
    mended = asyncio.Event()

    @clinic.on
    async def bless(sneezed: Sneezed) -> None:
        seen.append(sneezed.loudly)
        if not mended.is_set():
            raise LookupError("no handkerchief")

    async def parked() -> str:
        while True:
            for row in database.store.unmatched(UnmatchedQuery()):
                return row.unmatched_id
            await asyncio.sleep(0.01)

    async def story() -> None:
        settings = Settings(poll=0.02)
        async with ProcessManager(database.address, participants=[clinic], settings=settings) as manager:
            await manager.publish(Sneezed(loudly=True))
            unmatched_id = await asyncio.wait_for(parked(), 30)
            mended.set()
            tried = len(seen)
            ran = await asyncio.to_thread(database.sagalog, "unmatched", "redeliver", unmatched_id, *WHO)
            assert ran.code == 0, ran.err
            while len(seen) == tried or database.row(unmatched_id).status != "redelivered":
                await asyncio.sleep(0.01)

    async def in_time() -> None:
        await asyncio.wait_for(story(), 60)

    asyncio.run(in_time())
    assert all(seen)
