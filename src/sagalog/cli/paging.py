"""Long lists, a page at a time: the option for the start of a page, and the command line of the next page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from sagalog.cli.options import Invocation
from sagalog.cli.output import emit, note
from sagalog.cli.quantities import Age
from sagalog.cli.table import Column, Shown
from sagalog.cli.words import command_line

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


limit_option = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many."
)


def after_option(what: str) -> Callable[[FunctionT], FunctionT]:
    """Return the option that chooses where a page begins; `what` names what is listed."""
    return click.option("--after", metavar="ID", help=f"Go on after this {what}: the last one of the page before.")


def emit_page(
    invocation: Invocation,
    rows: Sequence[Shown],
    columns: Sequence[Column[Shown]],
    show: Callable[[Shown], Mapping[str, Any]],
    *,
    limit: int,
    command: tuple[str, ...],
    id_of: Callable[[Shown], str],
    nothing: str,
) -> None:
    """Write at most `limit` rows; one more in `rows` means another page. `nothing` is written for no rows."""
    emit(invocation.output, rows[:limit], columns, show)
    if not rows and invocation.output == "table":
        note(nothing)
    if len(rows) > limit:
        note(f"next page: {_next_page(invocation, command, id_of(rows[limit - 1]))}")


def _next_page(invocation: Invocation, command: Sequence[str], last: str) -> str:
    """Return the command line for the page after `last`, with all other options as they were given."""
    context = click.get_current_context()
    words = [*command]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if option.name == "after" or not given or value is None:
            continue
        for one in _each(value):
            words += [option.opts[0], f"{one // 1_000}ms" if isinstance(option.type, Age) else str(one)]
    words += ["--after", last]
    if invocation.output != "table":
        words += ["-o", invocation.output]
    return command_line(invocation, *words)


def _each(value: Any) -> Iterable[Any]:
    """Return the values of an option that may be given several times, or its one value."""
    return cast("Iterable[Any]", value) if isinstance(value, tuple) else (value,)
