"""Finds the app that the operator names on the command line, and its declarations. Data never names it."""

import importlib
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar, cast

from sagalog.cli.failures import AppError, AppRaised, MisnamedApp, NotThere
from sagalog.cli.options import Invocation
from sagalog.errors import UnknownSaga
from sagalog.messages import Event
from sagalog.process_manager import ProcessManager
from sagalog.projections.declare import Projection
from sagalog.saga.callables import question_mistake
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.declare import Saga
from sagalog.saga.definition import Definition
from sagalog.saga.failure import Redact, described, let_interrupts_through, redacted
from sagalog.saga.messages.participants import Participant
from sagalog.saga.options import shown
from sagalog.transport import Transport

DeclaredT = TypeVar("DeclaredT")
NamedT = TypeVar("NamedT", bound=Saga[Any] | Choreography)

DEFAULT_APP = "domain"
# The package beside the app that holds its read models; an app may also have them itself.
PROJECTIONS = "projections"


class Demo(NamedTuple):
    """What an app runs in a demo, and the environment variables for it.

    `starts` are pairs of a saga and its input, or events to be published. `beside` are the keys of two sagas that are
    then shown side by side.
    """

    environment: Mapping[str, str]
    starts: Iterable[tuple[Saga[Any], Any] | Event]
    beside: tuple[str, str] | None = None


class App:
    """An imported app: `sagas`, `services()`, and its projections; `docs/` lists its other attributes."""

    def __init__(self, name: str, folder: Path, module: ModuleType) -> None:
        self.name = name
        self.folder = folder
        self._module = module
        self.redact: Redact | None = getattr(module, "redact", None)
        if self.redact is not None and (wrong := question_mistake(self.redact, "a text", str)) is not None:
            raise AppError(f"{name}.redact {wrong}; let it return what may be kept of the text")
        self.sagas: list[Saga[Any]] = self._declared("sagas", Saga)
        self.participants: list[Participant] = []
        if hasattr(module, "participants"):
            self.participants = self._declared("participants", Participant)
        self.choreographies: list[Choreography] = []
        if hasattr(module, "choreographies"):
            self.choreographies = self._declared("choreographies", Choreography)
        self.projections: list[Projection] = []
        holder = module if hasattr(module, "projections") else _projections_beside(folder)
        if holder is not None and hasattr(holder, "projections"):
            self.projections = self._declared("projections", Projection, holder)

    def process_manager(
        self,
        address: str,
        services: Mapping[type, Any] | None = None,
        *,
        worker: bool = True,
        projections: bool = True,
    ) -> ProcessManager:
        """Return a process manager for all that the app declares; raises `DefinitionError` or `ServiceNotProvided`."""
        process_manager = ProcessManager(
            address,
            sagas=self.sagas,
            participants=self.participants,
            choreographies=self.choreographies,
            transports=self.transports() if worker else (),
            projections=[one for one in self.projections if projections and (worker or one.inline)],
            services=services,
            worker=worker,
            redact=self.redact,
        )
        if worker and hasattr(self._module, "follow"):
            self._call("follow", "what it follows: follow(manager) calls manager.follow(...)", process_manager)
        return process_manager

    def transports(self) -> Sequence[Transport]:
        """Return the app's transports; an empty sequence if it defines none."""
        if not hasattr(self._module, "transports"):
            return ()
        found = given = self._call("transports", "a list of transports")
        if not isinstance(found, list | tuple) or not all(
            hasattr(one, "carries") and hasattr(one, "send") for one in cast("list[object]", found)
        ):
            raise AppError(f"{self.name}.transports() must give a list of transports, found {self._shown(given)}")
        return cast("Sequence[Transport]", found)

    def saga(self, name: str) -> Saga[Any]:
        """Return the newest version of a saga; raises `UnknownSaga`."""
        return self._newest("saga", self.sagas, name)

    def declared(self, name: str) -> Saga[Any] | Choreography:
        """Return the newest version of a saga or of a choreography; raises `UnknownSaga`."""
        every: list[Saga[Any] | Choreography] = [*self.sagas, *self.choreographies]
        return self._newest("saga or choreography", every, name)

    def definition(self, name: str, version: int, digest: str) -> Definition | None:
        """Return exactly the definition that a saga runs with, or None; raises `DefinitionError` for a wrong one."""
        found = self.definitions.get(digest)
        return found if found is not None and (found.name, found.version) == (name, version) else None

    @property
    def definitions(self) -> dict[str, Definition]:
        """Return the definitions of all sagas, children included, and choreographies, by digest."""
        found: list[Definition] = [saga.definition for saga in self.sagas]
        found += [choreography.definition for choreography in self.choreographies]
        for one in found:
            # The list grows while it is read: children have children.
            found += [step.child.definition for step in one.steps.values() if step.child is not None]
        return {one.digest: one for one in found}

    def _newest(self, what: str, among: Sequence[NamedT], name: str) -> NamedT:
        found = [one for one in among if one.name == name]
        if not found:
            known = ", ".join(sorted({one.name for one in among})) or "none"
            raise UnknownSaga(f"no {what} is called {name!r}; the app {self.name} has: {known}")
        return max(found, key=lambda one: one.version)

    @contextmanager
    def services(self) -> Generator[Mapping[type, Any]]:
        """Open the services, and close them; raises `AppError` if the app offers none, or something else."""
        context = self._call("services", "a context manager that gives {Type: instance}")
        if not hasattr(context, "__enter__") or not hasattr(context, "__exit__"):
            raise AppError(
                f"{self.name}.services() returned {type(context).__name__}, expected a context manager; "
                "decorate it with contextlib.contextmanager"
            )
        with self._kept(cast("AbstractContextManager[object]", context)) as services:
            given: object = services
            if not isinstance(services, Mapping) or not all(
                isinstance(kind, type) for kind in cast("Mapping[object, Any]", services)
            ):
                raise AppError(
                    f"{self.name}.services() must give a mapping of {{Type: instance}}, found {self._shown(given)}"
                )
            yield cast("Mapping[type, Any]", services)

    @contextmanager
    def _kept(self, context: AbstractContextManager[object]) -> Generator[object]:
        """Enter and leave a context manager of the app; exceptions of its own become errors of the app."""
        within: BaseException | None = None
        try:
            with context as entered:
                try:
                    yield entered
                except BaseException as problem:
                    within = problem
                    raise
        except BaseException as problem:
            # The exception came from inside the block, so it is raised as it is.
            if problem is within:
                raise
            self._tell("services()", problem)

    def demo(self, database: Path) -> Demo:
        """Return the app's demo for this database file."""
        if not hasattr(self._module, "demo"):
            raise AppError(
                f"the app {self.name} has nothing to demonstrate: it defines no demo(); "
                "try the reference service, `sagalog --app-dir <its folder> --app domain demo`"
            )
        what = "(environment, [(saga, input), ...])"
        found = given = self._call("demo", what, database)
        if not isinstance(found, tuple) or len(cast("tuple[object, ...]", found)) not in (2, 3):
            raise AppError(f"{self.name}.demo() must give {what}, found {self._shown(given)}")
        return Demo(*cast("tuple[Any, Any]", found))

    def _call(self, name: str, what: str, *arguments: object) -> Any:
        """Return what a function of the app returns; raises `AppError` if it is missing, `AppRaised` if it raises."""
        function: object = getattr(self._module, name, None)
        if not callable(function):
            raise AppError(f"the app {self.name} must define {name}(), {what}; found {type(function).__name__}")
        call = cast("Callable[..., Any]", function)
        try:
            return call(*arguments)
        except BaseException as problem:
            self._tell(f"{name}()", problem)
            raise

    def _tell(self, what: str, problem: BaseException) -> None:
        """Raise the app's exception as a redacted error of the app; an interrupt is raised as it is."""
        if isinstance(problem, AppError):
            raise problem
        let_interrupts_through(problem)
        raise AppRaised(f"{self.name}.{what}", problem, self.redact) from problem

    def _shown(self, found: object) -> str:
        return redacted(shown(found), self.redact)

    def _declared(self, attribute: str, kind: type[DeclaredT], holder: ModuleType | None = None) -> list[DeclaredT]:
        found: Any = getattr(holder or self._module, attribute, None)
        given: object = found
        expected = kind.__name__
        if found is None:
            raise AppError(f"the app {self.name} must define {attribute}, a list of {expected}; it has no such name")
        if not isinstance(found, list | tuple) or not all(isinstance(one, kind) for one in cast("list[object]", found)):
            raise AppError(f"{self.name}.{attribute} must be a list of {expected}, found {self._shown(given)}")
        return list(cast("list[DeclaredT]", found))


def load_app(invocation: Invocation) -> App:
    """Import the app that the command line names; its `redact` is used from then on."""
    app = load(invocation.app_dir, invocation.app)
    invocation.redact = app.redact
    return app


def load(folder: Path, name: str | None) -> App:
    """Import the package `name` from `folder`; without a name, `domain` if the folder has one."""
    root = folder.resolve()
    if name is None:
        if not (root / DEFAULT_APP / "__init__.py").is_file() and not (root / f"{DEFAULT_APP}.py").is_file():
            raise NotThere(f"no app was named and {root} has no package {DEFAULT_APP}; give --app-dir and --app")
        name = DEFAULT_APP
    # A value that was read from a file ends with a line end.
    name = name.strip()
    if not _is_dotted(name):
        # A path, or the `module:attribute` form of web servers.
        meant = name.partition(":")[0].removesuffix(".py").strip("/").replace("/", ".")
        instead = f"; write {meant}" if _is_dotted(meant) else ""
        raise MisnamedApp(f"--app takes the dotted name of a package, found {name!r}{instead}")
    if name.endswith(".py"):
        raise MisnamedApp(f"--app takes the name of a module and not its file, found {name!r}; write {name[:-3]}")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name is not None and (name == problem.name or name.startswith(f"{problem.name}.")):
            raise NotThere(f"there is no package {name} in {root}; see --app-dir and --app") from problem
        redact = _redact_of(name, problem)
        text = f"the app {name} cannot be imported: {redacted(str(problem), redact)}; install it, or mend the import"
        raise AppError(text, redact) from problem
    except BaseException as problem:
        let_interrupts_through(problem)
        redact = _redact_of(name, problem)
        text = f"the app {name} cannot be imported: {described(problem, redact)}; --debug shows where"
        raise AppError(text, redact) from problem
    return App(name, root, module)


def _projections_beside(folder: Path) -> ModuleType | None:
    """Return the package `projections` of the app's folder; None if the folder has none."""
    if not (folder / PROJECTIONS / "__init__.py").is_file():
        return None
    try:
        return importlib.import_module(PROJECTIONS)
    except BaseException as problem:
        let_interrupts_through(problem)
        redact = _redact_of(PROJECTIONS, problem)
        text = f"the package {PROJECTIONS} cannot be imported: {described(problem, redact)}; --debug shows where"
        raise AppError(text, redact) from problem


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _redact_of(name: str, problem: BaseException) -> Redact | None:
    """Return the `redact` of a module whose import failed, if the module had already defined it."""
    trace = problem.__traceback__
    while trace is not None:
        names = trace.tb_frame.f_globals
        if trace.tb_frame.f_code.co_name == "<module>" and names.get("__name__") == name:
            found: Redact | None = names.get("redact")
            return found
        trace = trace.tb_next
    return None
