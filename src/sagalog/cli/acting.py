"""What people do to sagas from a shell: the options that all actions share, and the way from them to the kernel.

Nothing is decided here. An action is foreseen first, so that whatever makes no sense is a mistake of the command line
(exit code 2), and only what the saga's state does not allow is a conflict (4), which is recorded.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import click
from msgspec import MsgspecError, Raw
from msgspec.json import decode

from sagalog.cli.acted import Outcome, after_it, as_queued, foreseen, present
from sagalog.cli.address import address_of, opened, require_file
from sagalog.cli.app import App, load_app
from sagalog.cli.bulk import act_on_many, bulk_options
from sagalog.cli.failures import FAILURE, AppError, NotThere
from sagalog.cli.logs import keep_transitions_quiet
from sagalog.cli.lookup import saga_option
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import note
from sagalog.cli.people import login
from sagalog.cli.quantities import Age
from sagalog.clock import SystemClock, new_id
from sagalog.errors import InvalidAction, InvalidInput, PayloadTooLarge, StoreUnavailable
from sagalog.harmless import harmless
from sagalog.process_manager import Acted, ProcessManager
from sagalog.process_manager.acting import PATIENCE, What, refused_text
from sagalog.saga.actions.rules import UNLOADED
from sagalog.saga.definition import Definition
from sagalog.saga.events import ActionRefused, Verb
from sagalog.saga.identifiers import check_lookup
from sagalog.store import StatusRow

# So many sagas with a key are looked at to see whether the key says which one is meant.
SOME: Final = 20
_EXAMPLE: Final = "--reason 'the customer withdrew, ticket 4711'"

NOTHING: Final[What] = {}
# What a person is asked about before it is done to one saga.
ASKS: Final[frozenset[Verb]] = frozenset(("abandon", "amend"))
yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")


class Asked(NamedTuple):
    """The values of what all actions take; `timeout` is in microseconds."""

    id_or_key: str | None
    saga: str | None
    actor: str | None
    reason: str | None
    dry_run: bool
    action_id: str | None
    queue: bool
    timeout: int | None
    yes: bool | None = None
    where: str | None = None
    canary: int = 0
    rate: float | None = None
    stop_after: int = 0
    detach: bool = False

    def of_step(self, step: str | None) -> "tuple[Asked, str]":
        """Return what is asked, and the step: with --where the first argument is the step, not a saga."""
        asked = self
        if self.where is not None and step is None:
            asked, step = self._replace(id_or_key=None), self.id_or_key
        if step is None:
            raise click.UsageError("Missing argument 'STEP'.")
        return asked, step


class ActionCommand(RowsCommand):
    """A command that acts on one saga: it takes ID|KEY first, its own arguments, and the options of all actions.

    With `many`, it also acts on all sagas that meet a filter.
    """

    def __init__(self, *args: Any, many: bool = False, **kwargs: Any) -> None:
        own: list[click.Parameter] = kwargs.pop("params", None) or []
        self.acting = [click.Argument(["id_or_key"], metavar="ID|KEY", required=not many), *_options()]
        self.on_many: list[click.Parameter] = bulk_options() if many else []
        if many and not any(one.name == "yes" for one in own):
            yes = click.Option(["--yes"], is_flag=True, help="Do not ask; needed where there is no terminal.")
            self.on_many.append(yes)
        super().__init__(*args, params=[self.acting[0], *own, *self.acting[1:], *self.on_many], **kwargs)
        self.groups.insert(0, ("Options of every action", self.acting))
        if many:
            self.groups.insert(1, ("Options of an action on many sagas", self.on_many))


def _options() -> list[click.Parameter]:
    def nothing() -> None: ...

    for decorate in reversed(
        (
            click.option("--reason", metavar="TEXT", help="Why; it is recorded. Required."),
            click.option("--actor", metavar="NAME", help="Who; it is recorded too.  [default: your login name]"),
            click.option("--dry-run", is_flag=True, help="Show what would be recorded and what would follow."),
            click.option("--queue", is_flag=True, help="Do not wait for the worker that owns the saga."),
            click.option(
                "--timeout",
                type=Age(),
                help=f"Give the worker that owns the saga so long to take the action.  [default: {PATIENCE:g}s]",
            ),
            click.option(
                "--action-id",
                metavar="ID",
                help="What was done with this id is not done again: for repeating a command whose answer was lost.",
            ),
            saga_option,
        )
    ):
        nothing = decorate(nothing)
    found: list[click.Parameter] = nothing.__dict__["__click_params__"]
    return found[::-1]


class Json(click.ParamType["Raw"]):
    """A value in JSON, as it was typed."""

    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Raw:
        """Return the JSON; its type is checked once the saga is known."""
        if isinstance(value, Raw):
            return value
        try:
            written = str(value).encode()
            decode(written)
        except (MsgspecError, RecursionError, UnicodeEncodeError) as problem:
            shown = harmless(repr(value), 80)
            self.fail(f"expected JSON, such as 7, '\"text\"' or '{{\"id\": 7}}', found {shown}: {problem}", param, ctx)
        return Raw(written)


result_option: Final = click.option("--result", type=Json(), metavar="JSON", help="The result of the step, in JSON.")


def about(step: str, result: Raw | None) -> What:
    """Return what an action is about: a step, and its result if one is given."""
    return {"step": step} if result is None else {"step": step, "result": result}


def act(invocation: Invocation, verb: Verb, asked: Asked, what: What = NOTHING) -> None:
    """Do one action and show what came of it; with --dry-run only look at it.

    Raises `InvalidAction` if the saga does not allow it, and `click.UsageError` for what makes no sense.
    """
    if asked.reason is None:
        raise click.UsageError(f"Missing option '--reason': say why, which is recorded, such as {_EXAMPLE}")
    if asked.where is not None:
        _on_many(invocation, verb, asked, asked.where, asked.reason, what)
        return
    if asked.id_or_key is None:
        raise click.UsageError("Missing argument 'ID|KEY'; --where chooses many sagas.")
    actor = login() if asked.actor is None else asked.actor
    check_lookup(asked.id_or_key, "the id or key")
    address = address_of(invocation)
    require_file(address)
    app = _app(invocation, verb)
    keep_transitions_quiet()
    action_id = new_id(SystemClock()) if asked.action_id is None else asked.action_id
    desk = _Desk(address, app, verb, asked, actor, asked.reason, action_id, what)
    found, acted = asyncio.run(desk.first(at_once=asked.yes is not False or verb not in ASKS))
    if asked.dry_run:
        present(invocation.output, found)
        if found.refused is not None:
            raise _refused(found.row, found.refused)
        return
    if acted is None:
        _ask(found)
        acted = asyncio.run(desk.second(found.row))
    present(invocation.output, desk.outcome(found, acted))


def _on_many(invocation: Invocation, verb: Verb, asked: Asked, where: str, reason: str, what: What) -> None:
    """Act on every saga that meets a filter; raises `click.UsageError` for what is about one saga."""
    one = {"ID|KEY": asked.id_or_key, "--saga": asked.saga, "--action-id": asked.action_id, "--timeout": asked.timeout}
    found = [name for name, given in one.items() if given is not None] + (["--queue"] if asked.queue else [])
    if found:
        raise click.UsageError(f"{found[0]} is about one saga, and --where about many: give one of them")
    act_on_many(invocation, verb, where, reason, what, asked._asdict())


def _app(invocation: Invocation, verb: Verb) -> App | None:
    """Return the app; None if there is none, or it is broken, and the action needs no definition."""
    try:
        return load_app(invocation)
    except NotThere as problem:
        if verb in UNLOADED and invocation.named_app is None:
            return None
        raise NotThere(f"`sagalog {verb}` needs the app, whose saga says what follows; {problem}") from None
    except AppError:
        if verb not in UNLOADED or invocation.named_app is not None:
            raise
        note("the app cannot be loaded, so this is decided without it; `sagalog check` says why")
        return None


def _ask(found: Outcome) -> None:
    """Tell what an action means, and ask for it; raises `click.UsageError` where nobody can be asked."""
    found.warn()
    verb = found.verb
    if not sys.stdin.isatty():
        raise click.UsageError(f"{verb} asks before it is done, and there is no terminal to ask at: add --yes to do it")
    if not click.confirm(f"{verb} {found.row.saga_key}?", err=True):
        click.echo("nothing was done", err=True)
        click.get_current_context().exit(FAILURE)


def _refused(row: StatusRow, refused: ActionRefused) -> InvalidAction:
    return InvalidAction(refused_text(row.saga_name, row.saga_key, refused))


class _Desk(NamedTuple):
    """One action, and all that is needed to do it."""

    address: str
    app: App | None
    verb: Verb
    asked: Asked
    actor: str
    reason: str
    action_id: str
    what: What

    async def first(self, at_once: bool) -> tuple[Outcome, Acted | None]:
        """Foresee the action; do it too, unless it is a dry run, or a person is to be asked first."""
        async with self._manager() as manager:
            found = await self._foresee(manager)
            if self.asked.dry_run or (found.changes and not at_once):
                return found, None
            return found, await self._do(manager, found.row)

    async def second(self, row: StatusRow) -> Acted:
        """Do what a person was asked about."""
        async with self._manager() as manager:
            return await self._do(manager, row)

    def outcome(self, found: Outcome, acted: Acted) -> Outcome:
        """Return what came of an action that was done, or queued."""
        with opened(self.address) as store:
            if not acted.events:
                return as_queued(found, store)
            return after_it(found, acted, store)

    @asynccontextmanager
    async def _manager(self) -> AsyncGenerator[ProcessManager]:
        manager = (
            ProcessManager(self.address, worker=False)
            if self.app is None
            else self.app.process_manager(self.address, worker=False)
        )
        async with manager:
            yield manager

    async def _foresee(self, manager: ProcessManager) -> Outcome:
        row = await self._row(manager)
        try:
            preview = await manager.preview(
                self.verb,
                row.saga_id,
                actor=self.actor,
                reason=self.reason,
                action_id=self.action_id,
                **self.what,
            )
        except (InvalidAction, InvalidInput, PayloadTooLarge) as problem:
            # A refusal by the saga's state is no exception here, but an event.
            raise click.UsageError(str(problem)) from None
        definition: Definition | None = None
        if self.app is not None:
            state = preview.before
            definition = self.app.definition(state.saga, state.definition_version, state.digest)
        return foreseen(self.verb, self.action_id, row, definition, preview, self.what)

    async def _row(self, manager: ProcessManager) -> StatusRow:
        """Return the one saga that is meant; raises `click.UsageError` for a key that several sagas have."""
        name, saga = self.asked.id_or_key or "", self.asked.saga
        row = await manager.status(name, saga)
        if saga is None and row.saga_id != name:
            names = sorted({one.saga_name for one in await manager.find(key=name, limit=SOME)})
            if len(names) > 1:
                shown = harmless(repr(name), 80)
                raise click.UsageError(f"{shown} is a key of {' and of '.join(names)}: say which one with --saga")
        return row

    async def _do(self, manager: ProcessManager, row: StatusRow) -> Acted:
        method: Callable[..., Any] = getattr(manager, self.verb)
        timeout = PATIENCE if self.asked.timeout is None else self.asked.timeout / 1e6
        try:
            acted: Acted = await method(
                row.saga_id,
                **self.what,
                actor=self.actor,
                reason=self.reason,
                action_id=self.action_id,
                queue=self.asked.queue,
                timeout=timeout,
            )
        except StoreUnavailable as problem:
            raise type(problem)(
                f"{problem}; it may have been done: ask again with --action-id {self.action_id}, and it is done once"
            ) from problem
        return acted
