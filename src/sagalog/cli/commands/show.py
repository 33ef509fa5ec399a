"""`sagalog show`: where one saga stands, what was done, what was undone, and what it waits for; it only reads."""

import click

from sagalog.cli.address import store_of
from sagalog.cli.allowed import allowed
from sagalog.cli.lookup import find, saga_option
from sagalog.cli.one_saga import present
from sagalog.cli.options import Invocation, RowsCommand


@click.command(cls=RowsCommand)
@click.argument("id_or_key", metavar="ID|KEY")
@click.option("--trace", is_flag=True, help="Show what led to it and what it led to, over all sagas and messages.")
@saga_option
@click.pass_obj
def show(invocation: Invocation, id_or_key: str, saga: str | None, trace: bool) -> None:
    """Show where a saga stands, step by step.

    With -o jsonl or csv one row is a step; with -o json it is the saga with its steps. With --trace it is the tree of
    causes and effects that the saga is part of, and one row is one of them.

    Of a saga that is not over it lists what you may do: all of it if the app has the saga's definition.
    """
    with store_of(invocation) as store:
        row = find(store, id_or_key, saga)
        if trace:
            from sagalog.cli.tracing import present_trace

            present_trace(invocation.output, store, row)
        else:
            named = (id_or_key,) if saga is None else (id_or_key, "--saga", saga)
            present(invocation.output, store, row, lambda state: allowed(invocation, state, *named))
