"""Locks on files that show that a process lives: what ends them, what does not, and what is left behind."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from signal import SIGKILL

import pytest

from sagalog.stores.signs import NoSign, Signs
from sagalog.stores.sqlite.life import LifeFiles


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    path.touch(0o600)
    return path


@pytest.fixture
def files(database: Path) -> LifeFiles:
    return LifeFiles(str(database))


# Locks a file, says which, and lives until it is killed or told to end.
PROGRAM = """
import sys
from sagalog.stores.sqlite.life import LifeFiles
lock = LifeFiles(sys.argv[1]).take()
{more}
print(lock.number, flush=True)
sys.stdin.read()
"""
FORKS = "import os, time\nif not os.fork(): time.sleep(600)"
SPAWNS = "import subprocess\nchild = subprocess.Popen(['sleep', '600'], close_fds=False)\nprint(child.pid, flush=True)"


@pytest.fixture
def process(database: Path, request: pytest.FixtureRequest) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A process that holds a lock, and what it has said."""
    more: str = getattr(request, "param", "")
    words = [sys.executable, "-c", PROGRAM.format(more=more), str(database)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as one:
        assert one.stdout is not None
        said = [int(one.stdout.readline()) for _ in range(1 + (more == SPAWNS))]
        yield one, said
        # All that it has begun ends with it.
        with suppress(ProcessLookupError):
            os.killpg(one.pid, SIGKILL)


def becomes_free(files: LifeFiles, number: int) -> bool:
    """Wait for the end of a process to be noticed."""
    give_up = time.monotonic() + 10
    while not files.is_free(number) and time.monotonic() < give_up:
        time.sleep(0.01)
    return files.is_free(number)


@pytest.mark.parametrize("process", ["", FORKS, SPAWNS], indirect=True, ids=["alone", "forks", "spawns"])
def test_a_lock_is_gone_with_its_process_whatever_children_it_leaves(
    files: LifeFiles, process: tuple["subprocess.Popen[str]", list[int]]
) -> None:
    one, said = process
    assert files.is_free(said[-1]) is False
    one.kill()
    one.wait()
    assert becomes_free(files, said[-1])


def nothing(_: int) -> None:
    """What a child of multiprocessing does."""


def test_a_child_that_ends_leaves_the_lock_to_its_parent(files: LifeFiles) -> None:
    lock = files.take()
    child = get_context("fork").Process(target=nothing, args=(1,))
    child.start()
    child.join()
    assert lock.holds()
    assert not files.is_free(lock.number)
    lock.close()
    assert files.is_free(lock.number)


def test_whoever_copies_the_folder_or_looks_into_it_ends_no_lock(files: LifeFiles, database: Path) -> None:
    """Locks of `fcntl` would be lost: they go with the first descriptor that is closed."""
    lock = files.take()
    [path] = database.with_name("shop.db-workers").iterdir()
    path.read_bytes()
    assert not files.is_free(lock.number)
    lock.close()


def test_code_that_closes_all_descriptors_ends_it_and_that_is_noticed(files: LifeFiles) -> None:
    lock = files.take()
    descriptor = max(int(one.name) for one in Path("/proc/self/fd").iterdir() if is_a_lock(one))
    os.close(descriptor)
    assert not lock.holds()
    assert files.is_free(lock.number)
    other = os.open(os.devnull, os.O_RDONLY)
    # The number is another file's by now, and is not closed for it.
    assert not lock.holds()
    lock.close()
    os.fstat(other)
    os.close(other)


def is_a_lock(descriptor: Path) -> bool:
    try:
        return "-workers/" in str(descriptor.readlink())
    except OSError:
        return False


def test_a_file_that_is_not_there_says_nothing(files: LifeFiles, database: Path) -> None:
    assert files.is_free(1) is False
    lock = files.take()
    database.with_name("shop.db-workers").joinpath(str(lock.number)).unlink()
    lock.close()
    assert files.is_free(lock.number) is False


def test_a_file_of_another_kernel_says_nothing(files: LifeFiles, database: Path) -> None:
    """A folder on a network: there a lock of this machine may be nobody's."""
    lock = files.take()
    lock.close()
    path = database.with_name("shop.db-workers") / str(lock.number)
    assert files.is_free(lock.number)
    path.write_bytes(b"another")
    assert not files.is_free(lock.number)


def test_what_the_dead_have_left_is_removed_and_then_the_folder(files: LifeFiles, database: Path) -> None:
    folder = database.with_name("shop.db-workers")
    dead, known, alive = files.take(), files.take(), files.take()
    (folder / "notes.txt").touch()
    dead.close()
    known.close()
    files.tidy([known.number])
    assert {path.name for path in folder.iterdir()} == {str(known.number), str(alive.number), "notes.txt"}
    (folder / "notes.txt").unlink()
    alive.close()
    files.tidy([])
    assert not folder.exists()
    files.tidy([])
    files.take().close()


def test_the_files_are_as_private_as_the_database(files: LifeFiles, database: Path) -> None:
    folder = database.with_name("shop.db-workers")
    lock = files.take()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / str(lock.number)).stat().st_mode) == 0o600
    lock.close()
    files.tidy([])
    database.chmod(0o660)
    lock = files.take()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o770
    assert stat.S_IMODE((folder / str(lock.number)).stat().st_mode) == 0o660
    lock.close()


def test_the_folder_is_the_same_by_whichever_link_the_database_is_reached(files: LifeFiles, database: Path) -> None:
    link = database.parent / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(database)
    lock = files.take()
    assert not LifeFiles(str(link)).is_free(lock.number)
    lock.close()
    assert LifeFiles(str(link)).is_free(lock.number)


def test_where_no_file_can_be_made_there_is_no_sign(database: Path) -> None:
    database.with_name("shop.db-workers").touch()
    signs = Signs(LifeFiles(str(database)).take)
    with pytest.raises(NoSign, match="Not a directory"):
        LifeFiles(str(database)).take()
    assert signs.take("w1") is None
    # Only the lease tells, and that counts as a sign that is there.
    assert signs.shown("w1") is True
    assert signs.lacks("w1") is False


def test_a_new_sign_counts_once_the_database_knows_it(database: Path) -> None:
    """Until then others look for the one before, find it gone, and take over."""
    signs = Signs(LifeFiles(str(database)).take)
    first = signs.take("w1")
    assert signs.shown("w1") is False
    signs.is_written("w1")
    assert signs.shown("w1") is True
    assert signs.take("w1") != first
    assert signs.shown("w1") is False
    signs.lose("w1")
    signs.is_written("w1")
    assert signs.shown("w1") is False
    signs.close()
