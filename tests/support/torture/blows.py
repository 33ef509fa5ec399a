"""The blows of a torture run, as a table: what each does, how often it comes, and on which store. They check nothing.

A blow strikes once; what it turns it says how to turn back. A blow that finds its database away raises ConnectionError,
and is not counted.
"""

import sqlite3
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import psycopg
from torture.dials import READ_ONLY
from torture.scene import Scene

from domain.database import statements

SQL = statements(Path(__file__).with_name("blows.sql"))
LEASE_SECONDS: Final = 0.4
# A worker that is stopped should be in the middle of something.
LONG_ENOUGH_SECONDS = 0.05
LOCK_SECONDS = 0.3
# What is refused is tried again for a while before it is taken for good: some of it should pass, some should not.
REFUSE_SECONDS = (0.1, 3.0)
# On a server the tries take longer, beside all that waits for the same connection.
SERVER_REFUSES_SECONDS = (0.5, 6.0)
# Clocks jump by more than a lease, either way, and by less than anybody's patience.
LONGEST_JUMP_SECONDS = 2.0

Strike = Callable[[Scene], None]


class Blow(NamedTuple):
    """One kind of blow, and how often it comes among the others, by store.

    Mostly nothing else strikes for up to `lull` seconds after it, so that it is met by workers that live.
    """

    name: str
    strike: Strike
    weights: Mapping[str, float]
    lull: float = 0.0


def kill(scene: Scene) -> None:
    """End a worker wherever it is."""
    scene.kill(scene.pick())


def kill_client(scene: Scene) -> None:
    """End a client in the middle of its starts."""
    scene.kill_client()


def stop(scene: Scene) -> None:
    """Stop a worker, mostly for longer than its lease."""
    worker = scene.pick()
    if not worker.stopped:
        time.sleep(LONG_ENOUGH_SECONDS)
        scene.stop(worker)
        scene.turn_back("stop", scene.chance.uniform(0.5, 1.5) * LEASE_SECONDS, lambda: _wake(scene, worker))


def _wake(scene: Scene, worker: Any) -> None:
    if any(one is worker for one in scene.workers):  # it may have been killed as it stood
        scene.wake(worker)


def terminate(scene: Scene) -> None:
    """Ask a worker to end."""
    scene.terminate(scene.pick())


def jump(scene: Scene) -> None:
    """Set the clock of one worker wrong, for a moment."""
    clock = scene.chance.choice(scene.workers).clock
    dials = scene.stage.dials
    dials[clock] = int(scene.chance.uniform(-1, 1) * LONGEST_JUMP_SECONDS * 1e6)

    def undo() -> None:
        dials[clock] = 0

    scene.turn_back("jump", scene.chance.uniform(0.1, 1.0), undo)


# What is written is refused at random, or for some sagas and not for others.
SQLITE_WHICH = ("abs(random()) % 4 = 0", "{saga} GLOB '*[0-3]'", "{saga} GLOB '*[4-7]'")
SQLITE_HOW = ("RAISE(ABORT, 'planted refusal')", "RAISE(FAIL, 'planted refusal')", "zeroblob(2000000000)")
SQLITE_SAGAS = {"event": "NEW.originator_id", "status": "NEW.saga_id"}


@contextmanager
def sqlite_file(scene: Scene) -> Generator[sqlite3.Connection]:
    """Give a connection of our own to the database; ConnectionError if it is locked for too long."""
    path = scene.stage.database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=LOCK_SECONDS)) as connection:
        try:
            yield connection
        except sqlite3.OperationalError as problem:
            raise ConnectionError(str(problem)) from None


def lock_file(scene: Scene) -> None:
    """Hold the lock of the file, as a backup or a person with a shell does."""
    connection = sqlite3.connect(
        scene.stage.database.removeprefix("sqlite:///"), isolation_level=None, timeout=LOCK_SECONDS
    )
    try:
        connection.execute(SQL["sqlite_lock"])
    except sqlite3.OperationalError as problem:
        connection.close()
        raise ConnectionError(str(problem)) from None
    scene.turn_back("lock", scene.chance.uniform(0.1, 2.0) * LEASE_SECONDS, connection.close)


def file_is_read_only(scene: Scene) -> None:
    """Let nobody write the file for a while."""
    dials = scene.stage.dials
    dials[READ_ONLY] = 1

    def undo() -> None:
        dials[READ_ONLY] = 0

    scene.turn_back("read-only", scene.chance.uniform(0.1, 1.5), undo)


def file_refuses(scene: Scene) -> None:
    """Let the database refuse some of what is written."""
    what = scene.chance.choice(("event", "status"))
    which = scene.chance.choice(SQLITE_WHICH).format(saga=SQLITE_SAGAS[what])
    how = scene.chance.choice(SQLITE_HOW)
    with sqlite_file(scene) as connection:
        connection.execute(SQL[f"sqlite_refuse_{what}"].format(which=which, how=how))

    def undo() -> None:
        with sqlite_file(scene) as connection:
            connection.execute(SQL[f"sqlite_accept_{what}"])

    scene.turn_back("refuse", scene.chance.uniform(*REFUSE_SECONDS), undo)


@contextmanager
def postgres(scene: Scene) -> Generator[psycopg.Connection]:
    """Give a connection of our own, which may write whatever is said of the others; ConnectionError if it is away."""
    try:
        with psycopg.connect(scene.stage.database, autocommit=True, connect_timeout=5) as connection:
            connection.execute(_statement("postgres_writable_session"))
            yield connection
    except psycopg.OperationalError as problem:
        raise ConnectionError(str(problem)) from None


def _statement(block: str, **parts: str) -> Any:
    """Return a named block with what chance fills in; `Any`, since psycopg takes only literals for texts of queries."""
    text = SQL[block]
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


# Violations, values and sizes, a trigger's own, and what passes: cancelled, serialization, deadlock, no room.
POSTGRES_HOW = ("23514", "22021", "54000", "P0001", "57014", "40001", "40P01", "53100")
POSTGRES_WHICH = ("random() < 0.25", "saga ~ '[0-3]$'", "saga ~ '[4-7]$'")
POSTGRES_LOCKS = (
    ("saga_events", "EXCLUSIVE"),
    ("saga_events", "ACCESS EXCLUSIVE"),
    ("saga_status", "EXCLUSIVE"),
    ("saga_workers", "EXCLUSIVE"),
)


def lock_table(scene: Scene) -> None:
    """Hold a lock on a table, as a migration does."""
    table, mode = scene.chance.choice(POSTGRES_LOCKS)
    try:
        connection = psycopg.connect(scene.stage.database, connect_timeout=5)
        connection.execute(_statement("postgres_lock", table=table, mode=mode))
    except psycopg.OperationalError as problem:
        raise ConnectionError(str(problem)) from None
    scene.turn_back("lock", scene.chance.uniform(0.1, 2.0) * LEASE_SECONDS, connection.close)


def server_is_read_only(scene: Scene) -> None:
    """Let nobody write, as at a switch-over; connections are ended, or see it happen."""
    on_server = scene.server is not None and scene.server.can_be_killed and scene.chance.random() < 0.5
    what = "server" if on_server else "database"
    ended = not on_server or scene.chance.random() < 0.5
    _turn_read_only(scene, f"postgres_read_only_{what}", ended)
    # On one database the setting is for new connections: those that have it have to go.
    undo = lambda: _turn_read_only(scene, f"postgres_writable_{what}", ended)  # noqa: E731
    scene.turn_back("read-only", scene.chance.uniform(0.1, 1.5), undo)


def _turn_read_only(scene: Scene, block: str, ended: bool) -> None:
    database = urlsplit(scene.stage.database).path.removeprefix("/")
    with postgres(scene) as connection:
        connection.execute(_statement(block, database=database))
        connection.execute(_statement("postgres_reload"))
        if ended:
            connection.execute(_statement("postgres_end_backends", which="true"))


def server_refuses(scene: Scene) -> None:
    """Let the database refuse some of what is written."""
    parts = {
        "table": scene.chance.choice(("saga_events", "saga_status")),
        "which": scene.chance.choice(POSTGRES_WHICH),
        "how": scene.chance.choice(POSTGRES_HOW),
    }
    with postgres(scene) as connection:
        connection.execute(_statement("postgres_refuse", **parts))

    def undo() -> None:
        with postgres(scene) as connection:
            connection.execute(_statement("postgres_hook"))

    scene.turn_back("refuse", scene.chance.uniform(*SERVER_REFUSES_SECONDS), undo)


def end_backends(scene: Scene) -> None:
    """End all connections, or about half of them."""
    which = scene.chance.choice(("true", "random() < 0.5"))
    with postgres(scene) as connection:
        connection.execute(_statement("postgres_end_backends", which=which))


def kill_server(scene: Scene) -> None:
    """End the server and all its processes, and start it again."""
    _restart(scene, lambda server: server.kill())


def stop_server(scene: Scene) -> None:
    """Stop the server in an orderly way, cutting its connections, and start it again."""
    _restart(scene, lambda server: server.stop())


def _restart(scene: Scene, end: Callable[[Any], None]) -> None:
    if scene.server is None or not scene.server.can_be_killed:
        raise ConnectionError("the server is somebody else's")
    end(scene.server)
    time.sleep(scene.chance.uniform(0.0, 0.3))
    scene.server.start()


def cut(scene: Scene) -> None:
    """Close every connection of the workers on the way."""
    assert scene.proxy is not None
    scene.proxy.cut()


def swallow(scene: Scene) -> None:
    """Let everything that is sent vanish for a while, without a word."""
    assert scene.proxy is not None
    scene.proxy.swallow = True
    scene.turn_back("swallow", scene.chance.uniform(0.5, 2.0) * LEASE_SECONDS, scene.proxy.heal)


def slow(scene: Scene) -> None:
    """Let everything take its time."""
    proxy = scene.proxy
    assert proxy is not None
    proxy.delay_seconds = scene.chance.uniform(0.002, 0.05)

    def undo() -> None:
        proxy.delay_seconds = 0.0

    scene.turn_back("slow", scene.chance.uniform(0.2, 1.0), undo)


def lose_acknowledgement(scene: Scene) -> None:
    """Lose the answer to the next commit or two, with the connection."""
    assert scene.proxy is not None
    scene.proxy.lose_acknowledgements = scene.chance.choice((1, 2))


BOTH = ("sqlite", "postgres")


def _on(weight: float, *stores: str) -> Mapping[str, float]:
    return dict.fromkeys(stores or BOTH, weight)


KILLS: Final = (
    Blow("kill", kill, _on(92)),
    Blow("stop", stop, _on(5)),
    Blow("terminate", terminate, _on(3)),
    Blow("kill client", kill_client, _on(3)),
)
EVERYTHING: Final = (
    Blow("kill", kill, _on(20)),
    Blow("stop", stop, _on(6)),
    Blow("terminate", terminate, _on(3)),
    Blow("kill client", kill_client, _on(3)),
    Blow("jump", jump, _on(6)),
    Blow("lock", lock_file, _on(6, "sqlite")),
    Blow("lock", lock_table, _on(6, "postgres")),
    Blow("cut", cut, _on(6, "postgres")),
    Blow("swallow", swallow, _on(3, "postgres")),
    Blow("slow", slow, _on(4, "postgres")),
    Blow("lose acknowledgement", lose_acknowledgement, _on(4, "postgres")),
    Blow("end backends", end_backends, _on(5, "postgres")),
    Blow("stop server", stop_server, _on(2, "postgres")),
    Blow("read-only", file_is_read_only, _on(6, "sqlite"), 0.8),
    Blow("read-only", server_is_read_only, _on(6, "postgres"), 0.8),
    Blow("refuse", file_refuses, _on(6, "sqlite"), 1.5),
    Blow("refuse", server_refuses, _on(4, "postgres"), 5.0),
)


def hook(database: str) -> None:
    """Prepare a new database for what will be refused there."""
    if not database.startswith("sqlite"):
        with psycopg.connect(database, autocommit=True, connect_timeout=5) as connection:
            for block in ("postgres_hook", "postgres_hook_events", "postgres_hook_statuses"):
                connection.execute(_statement(block))
