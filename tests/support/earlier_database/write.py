"""How the recorded files were written: `python -m earlier_database.write sqlite:////tmp/new.db [postgresql://...]`.

It tells the story on each database, which has to be empty, and in memory, and writes down what is there when the last
process is killed; a SQLite database is then asked what the command line prints. The two schemas are the numbered
migrations of that time, one behind the other, as an empty database needs them.

What is recorded was written by the code before the library was put into rooms. Nothing of it may change any more: who
runs this again to make a test pass has changed what databases out there hold, or what people see of it.
"""

import sys
from collections.abc import Sequence

from earlier_database.lives import lived
from earlier_database.printed import printed_of
from earlier_database.recorded import HERE, lines_of, sql_of
from earlier_database.story import story


def write(addresses: Sequence[str]) -> None:
    """Write the files."""
    with lived("memory://", story) as store:
        keep("memory.jsonl", lines_of(store))
    for address in addresses:
        with lived(address, story):
            keep("sqlite_rows.sql" if address.startswith("sqlite") else "postgres_rows.sql", sql_of(address))
        if address.startswith("sqlite"):
            keep("printed.txt", printed_of(address))


def keep(name: str, text: str) -> None:
    """Write one file."""
    (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:])
