"""The shop's read side: tables that follow the log, questions about sagas, and audits; it decides nothing."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from projections.customers import customers
from projections.money import money
from projections.open_sagas import open_sagas
from projections.order_desk import order_desk

# What a worker of the shop keeps: `sagalog projections` names them.
projections = [order_desk, money, open_sagas, customers]
AUDIT_PATH = Path(__file__).with_name("audit")
NEEDS = "needs:"


class Connection(Protocol):
    """What sqlite3 and psycopg connections have in common, and all that a question needs."""

    def execute(self, query: Any, /) -> Iterable[Sequence[Any]]:
        """Run one query and give its rows."""
        ...


class Audit(NamedTuple):
    """A query that returns no row as long as all is well."""

    name: str
    meaning: str
    """What a row would mean, and what to do about it."""
    sql: str
    projections: tuple[str, ...] = ()
    """The projections whose tables it asks for: it can be run where a worker keeps them."""

    def asked(self, now: int) -> str:
        """Return the query as it is asked at a time, in microseconds since the epoch."""
        return re.sub(r":now\b", str(now), self.sql)


def audits(folder: Path = AUDIT_PATH) -> list[Audit]:
    """Read the audit queries of a folder, by name; a file's opening comment is its meaning."""
    return [read_audit(path) for path in sorted(folder.glob("*.sql"))]


def read_audit(path: Path) -> Audit:
    """Read one audit query; raises ValueError if it does not say what a row means."""
    sql = path.read_text(encoding="utf-8")
    header: list[str] = []
    needs = ""
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        text = line.removeprefix("--").strip()
        if text.startswith(NEEDS):
            needs += text
        else:
            header.append(text)
    if not header:
        raise ValueError(f"{path.name}: expected a comment that says what a row means, found none")
    return Audit(path.stem, " ".join(header), sql, tuple(re.findall(r"projection ([\w-]+)", needs)))
