"""Every command of the command line as it is given among very many sagas, and why those that read more with more may.

Each line is about what there is of each kind in a crowd: a saga in its middle, a page that begins there, what is not
there at all. A page is so short that the smallest crowd fills it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sagalog.store import Store

WHY = ("--actor", "ada", "--reason", "ticket 4711")
SHIPMENT = '{"tracking_id": "t-1", "order_id": "o-1", "destination": "Lisbon"}'
RESERVATION = '{"reservation_id": "r-1", "order_id": "o-1", "quantities": {}}'
# Commands that are not of this list: a worker's work is measured elsewhere, and a demo makes a database of its own.
LEFT_OUT = frozenset(("run", "demo"))
# What changes the database, or needs it in a state of its own, is not done to a crowd.
NOT_TO_A_CROWD = {
    "start": "it writes, as a worker does",
    "jobs watch": "as `jobs show`, again and again",
    "jobs pause": "it writes one row, which it finds by its id",
    "jobs unpause": "as `jobs pause`",
    "jobs stop": "as `jobs pause`",
    "projections rebuild": "it reads the log, from its beginning",
    "projections verify": "it computes the tables anew",
    "projections switch": "it changes views",
    "projections back": "as `projections switch`",
    "projections remove": "it drops tables",
    "projections pause": "it writes one row, which it finds by its name",
    "projections resume": "as `projections pause`",
    "db grants": "it asks for roles and tables, and only of PostgreSQL",
    "audit": "each query is the app's, about all sagas",
}


class Line(NamedTuple):
    """A command line, the exit code that it has, and why it takes longer with more sagas, if it does."""

    words: tuple[str, ...]
    grows: str = ""
    code: int = 0
    """The exit code; -1: any that says something of the database."""

    @property
    def command(self) -> str:
        """Return the names of the command, without arguments and options."""
        words = self.words[:2] if self.words[0] in ("jobs", "projections", "unmatched", "db") else self.words[:1]
        return " ".join(words)


def lines(store: Store, number: int) -> Iterator[Line]:
    """Yield what is asked of a crowd of so many sagas."""
    yield from _lists(store, number)
    yield from _of_one(number)
    yield from _actions(number)
    yield from _others(store, number)


def _key(number: int, group: int, other: int = 0) -> str:
    """Return the key of a saga in the middle whose number is a multiple of `group`, plus `other`."""
    return f"order-{number // 2 // group * group + other}"


def _id(store: Store, key: str) -> str:
    [row] = store.sagas_by_key("order-fulfilment", [key]).values()
    return row.saga_id


def _lists(store: Store, number: int) -> Iterator[Line]:
    deep = ("--after", _id(store, _key(number, 1100)))
    for words in (
        (),
        ("--status", "completed"),
        ("--status", "failed"),
        ("--status", "stuck"),
        ("--status", "pending"),
        ("--saga", "order-fulfilment"),
        ("--saga", "order-fulfilment", "--status", "stuck"),
        ("--error", "declined"),
        ("--newer", "52w"),
        ("--attribute", "destination=Lisbon"),
        ("--where", "status=completed and not attribute.customer=order-7"),
    ):
        limit = ("--limit", "1" if "stuck" in words else "20")
        yield Line(("list", *words, *limit))
        yield Line(("list", *words, *limit, *deep))
    for words in (
        ("--saga", "nobody"),
        ("--key", _key(number, 7)),
        ("--older", "52w"),
        ("--attribute", f"customer={_key(number, 7)}"),
        ("--attribute", "customer=nobody"),
    ):
        yield Line(("list", *words))
    yield Line(("list", "--where", "key~nobody"), "it looks for a text in every key")
    yield Line(("list", "--error", "nobody"), "it looks for a text in the error of every saga that has one")
    yield Line(("list", "--status", "abandoned"), "it looks at every saga that has an error")
    trouble = "it looks at every saga that is stuck or being undone"
    yield Line(("list", "--status", "compensating"), trouble)
    yield Line(("list", "--saga", "order-fulfilment-remote", "--status", "stuck"), trouble)
    open_sagas = "it looks at every saga that is open"
    yield Line(("list", "--status", "started"), open_sagas)
    yield Line(("list", "--saga", "order-fulfilment", "--status", "pending"), open_sagas)


def _of_one(number: int) -> Iterator[Line]:
    well, stuck, waits = _key(number, 100, 1), _key(number, 1100), _key(number, 100, 11)
    for key in (well, stuck, waits):
        yield Line(("show", key))
        yield Line(("show", key, "-o", "json"))
        yield Line(("show", key, "--trace"))
    yield Line(("history", stuck))
    yield Line(("replay", stuck))
    yield Line(("replay", stuck, "--at", "3"))
    yield Line(("diff", well, stuck), code=1)
    yield Line(("diff", f"{stuck}@2", f"{stuck}@5"), code=1)
    yield Line(("export", stuck))
    yield Line(("export", stuck, "--scrub"))
    yield Line(("wait", well))
    yield Line(("graph", "--run", stuck))
    yield Line(("graph", "order-fulfilment"))


def _actions(number: int) -> Iterator[Line]:
    well, stuck, waits = _key(number, 100, 1), _key(number, 1100), _key(number, 100, 11)
    for words in (
        ("cancel", waits),
        ("resume", stuck),
        ("skip", stuck, "create_shipment", "--result", SHIPMENT),
        ("resolve", stuck, "process_payment", "--happened"),
        ("amend", waits, "reserve_inventory", "--result", RESERVATION),
        ("reschedule", waits, "--in", "2h", "--deadline"),
        ("pause", waits),
        ("unpause", waits),
        ("retry", waits),
        ("undo", well),
        ("abandon", stuck),
        ("fork", well, "process_payment"),
    ):
        yield Line((*words, *WHY, "--dry-run"), code=-1)
    many = "it counts the sagas that are meant"
    yield Line(("resume", "--where", "status=stuck", *WHY, "--dry-run"), many)


def _others(store: Store, number: int) -> Iterator[Line]:
    jobs = store.jobs(2)
    parked = next(iter(store.sagas_by_key("order-fulfilment-remote", [_key(number, 110, 11)]).values())).saga_id
    yield Line(("jobs", "list"), "it counts the sagas of each job that it shows")
    yield Line(("jobs", "list", "--limit", "1", "--after", jobs[0].job_id))
    yield Line(("jobs", "show", jobs[1].job_id))
    yield Line(("jobs", "show", jobs[0].job_id), "it counts the sagas of the job")
    for words in ((), ("--status", "any"), ("--name", "ParcelArrived"), ("--consumer", "saga:order-return")):
        yield Line(("unmatched", "list", "--limit", "20", *words))
        yield Line(("unmatched", "list", "--limit", "20", *words, "--after", parked))
    for words in (("--name", "Nobody"), ("--consumer", "nobody"), ("--status", "redelivering")):
        yield Line(("unmatched", "list", *words))
    yield Line(("unmatched", "show", parked))
    yield Line(("unmatched", "redeliver", parked, "--dry-run"))
    yield Line(("unmatched", "discard", "--all", "--dry-run"), "it lists the messages that are meant")
    yield Line(("projections", "status"), code=-1)
    yield Line(("projections", "parked", "money"))
    waiting = "it counts the messages that wait for each consumer"
    yield Line(("db", "status"), waiting)
    yield Line(("db", "consumers"), waiting)
    yield Line(("db", "sql"))
    yield Line(("db", "upgrade"))
    yield Line(("sql", "SELECT count(*) FROM (SELECT 1 FROM saga_status LIMIT 500) AS page"))
    yield Line(("check", "--no-log"), "it looks at the definition of every saga that is open", code=-1)
    yield Line(("check",), "it compares all sagas", code=-1)
    yield Line(("export", "--all"), "it writes all sagas")
