"""The story of a page that asks in SQL, on any database, and what the page asks and shows. It judges nothing."""

import sys
from types import ModuleType
from typing import NamedTuple

from pages.page_run import table
from pages.pages import Page

from sagalog.store import Store

FILE = "sqlite:///shop.db"
# What the guide says is written differently on PostgreSQL.
ON_POSTGRES = {
    "CAST(strftime('%s', 'now') AS INTEGER)": "CAST(extract(epoch FROM now()) AS bigint)",
    "date(started_at / 1000000, 'unixepoch')": "to_timestamp(started_at / 1000000)::date",
}


class Example(NamedTuple):
    """A query of a page, the answer that it shows (None: none is shown), and the line that it stands on."""

    sql: str
    shown: str | None
    line: int


def run_story(page: Page, database: str) -> None:
    """Run the program of a page on another database than its own."""
    [block] = [one for one in page.blocks if one.language == "python"]
    assert FILE in block.text
    module = sys.modules["page"] = ModuleType("page")
    try:
        source = block.text.replace(FILE, database)
        exec(compile("\n" * block.line + source, page.name, "exec"), module.__dict__)
    finally:
        del sys.modules["page"]


def examples(page: Page, dialect: str = "sqlite") -> list[Example]:
    """Return the queries of a page as they are written for a database."""
    found: list[Example] = []
    for block, following in zip(page.blocks, [*page.blocks[1:], None], strict=True):
        if block.language == "sql":
            sql = block.text
            for here, there in ON_POSTGRES.items() if dialect == "postgres" else ():
                sql = sql.replace(here, there)
            is_shown = following is not None and following.language == "text"
            found.append(Example(sql, following.text if is_shown and following is not None else None, block.line))
    return found


def answer(store: Store, sql: str) -> str:
    """Return what a database answers, as pages show it."""
    columns, rows = store.query(sql)
    return table([columns, *rows])
