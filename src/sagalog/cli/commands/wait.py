"""`sagalog wait`: waits for one saga; the exit code says how it ended; it runs nothing."""

import asyncio

import click
from rich.text import Text

from sagalog.cli.address import address_of, require_file, sql_store
from sagalog.cli.failures import SAGA_ABANDONED, SAGA_FAILED, SAGA_STUCK
from sagalog.cli.lookup import saga_option
from sagalog.cli.one_saga import error_of
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit_records, record, write, write_json
from sagalog.cli.quantities import Age, duration
from sagalog.cli.table import plain, status_text
from sagalog.process_manager import ProcessManager
from sagalog.saga.identifiers import check_lookup
from sagalog.store import StatusRow

EXIT_CODES = {"completed": 0, "failed": SAGA_FAILED, "stuck": SAGA_STUCK, "abandoned": SAGA_ABANDONED}


@click.command(cls=RowsCommand)
@click.argument("id_or_key", metavar="ID|KEY")
@click.option("--timeout", type=Age(), help="Give up after this long: 500ms, 30s, 10m; exit code 1.")
@saga_option
@click.pass_context
def wait(ctx: click.Context, id_or_key: str, timeout: int | None, saga: str | None) -> None:
    """Wait until a saga has ended or is stuck.

    The exit code says how: 0 completed, 10 failed (undone), 11 stuck (a person must act), 12 abandoned (its effects are
    left), 1 still going on.
    """
    invocation = ctx.ensure_object(Invocation)
    check_lookup(id_or_key, "the id or key")
    row = asyncio.run(_wait(address_of(invocation), id_or_key, saga, timeout))
    if invocation.output == "table":
        took = f"  after {duration((row.ended_at or row.updated_at) - row.started_at)}"
        what = f"{plain(row.saga_name)} {plain(row.saga_key)}  "
        write(Text.assemble(what, status_text(row.status), (took, "dim"), plain(f"  {error_of(row)}")))
    elif invocation.output == "json":
        write_json(record(row))
    else:
        emit_records(invocation.output, [record(row)])
    ctx.exit(EXIT_CODES[row.status])


async def _wait(address: str, id_or_key: str, saga: str | None, timeout: int | None) -> StatusRow:
    require_file(address)
    async with ProcessManager(sql_store(address), worker=False) as process_manager:
        row = await process_manager.status(id_or_key, saga)
        await process_manager.result(row.saga_id, None if timeout is None else timeout / 1e6)
        return await process_manager.status(row.saga_id)
