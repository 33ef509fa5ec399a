"""`sagalog sql`: a query of yours on the database, which lets it do nothing but read."""

import sys
from pathlib import Path

import click

from sagalog.cli.address import store_of
from sagalog.cli.contract import check_needs, with_close_names
from sagalog.cli.encoding import text_of
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.selection import write_selection
from sagalog.errors import QueryRefused


# SQL may begin with a comment, which begins as an option does.
@click.command("sql", cls=RowsCommand, context_settings={"ignore_unknown_options": True})
@click.argument("query", metavar="[SQL]", required=False)
@click.option(
    "--file",
    "file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the query from a file.",
)
@click.pass_obj
def sql(invocation: Invocation, query: str | None, file: Path | None) -> None:
    """Run a query of yours, which can only read.

    SQL is one query, or - to read it from stdin. The database itself sees to it that nothing else is done. The tables
    and views are documented, column by column. A first line such as `-- needs: saga_attempts 1` says what the query was
    written for.
    """
    if (query is None) == (file is None):
        raise click.UsageError('give one query: sagalog sql "SELECT ...", or - for stdin, or --file FILE')
    text = _text_of(query, file)
    with store_of(invocation) as store:
        try:
            check_needs(store, text)
            with store.select(text) as selection:
                write_selection(invocation.output, selection)
        except QueryRefused as problem:
            raise with_close_names(store, problem) from None


def _text_of(query: str | None, file: Path | None) -> str:
    if file is not None:
        return text_of(file.read_bytes(), str(file))
    if query == "-":
        return text_of(sys.stdin.buffer.read(), "stdin")
    return query or ""
