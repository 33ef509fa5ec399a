"""Signs of life of workers on a SQLite file: locks on files of their own, in a folder beside it.

The lock is `flock`, which belongs to the open file. The locks of `fcntl` would be lost when any code of this process
closes such a file (whoever copies the folder does), and one could not see those of one's own process.
"""

import os
import secrets
import socket
from collections.abc import Collection
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from sagalog.stores.signs import NoSign, closed_in_children, kept_in_children

# Windows has no such locks.
HAS_LOCKS = find_spec("fcntl") is not None
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# How often it is tried with another name if somebody has locked or removed the file meanwhile.
TRIES = 5
LONGEST_KERNEL = 300


def kernel() -> bytes:
    """Return what tells this kernel from others; containers on one kernel have the same."""
    try:
        return BOOT_ID.read_bytes().strip()
    except OSError:
        return socket.gethostname().encode(errors="replace")[:LONGEST_KERNEL]


def _lock(descriptor: int, *, shared: bool = False) -> None:
    """Lock an open file, or raise `BlockingIOError` if somebody else has; several may have a shared lock."""
    import fcntl

    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


class LockedFile:
    """A file that this process has locked."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.number = int(path.name)
        self._descriptor = descriptor
        self._file = _file_of(descriptor)
        self._closed = False
        closed_in_children(descriptor)

    def holds(self) -> bool:
        """Tell whether nobody has closed the file: code that closes all descriptors does."""
        try:
            return not self._closed and _file_of(self._descriptor) == self._file
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the lock; the file stays, by which others see that it is gone."""
        if self._closed:
            return
        kept_in_children(self._descriptor)
        if self.holds():
            os.close(self._descriptor)
        self._closed = True


def _file_of(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


class LifeFiles:
    """The folder of locked files beside a database; `path` is the database's."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._kernel = kernel()

    @cached_property
    def _database(self) -> Path:
        # The same file, by whichever link it is reached.
        return Path(os.path.realpath(self._path))

    @cached_property
    def _folder(self) -> Path:
        return self._database.with_name(f"{self._database.name}-workers")

    def take(self) -> LockedFile:
        """Lock a new file; raises `NoSign` where that cannot be done."""
        if not HAS_LOCKS:
            raise NoSign("this system has no locks on files", for_good=True)
        try:
            for _ in range(TRIES):
                found = self._locked()
                if found is not None:
                    return found
        except OSError as problem:
            raise NoSign(f"no file in {self._folder} can be locked: {problem.strerror}", for_good=True) from None
        raise NoSign(f"files in {self._folder} vanish as soon as they are made", for_good=False)

    def _locked(self) -> LockedFile | None:
        # Others may see what SQLite's own files let them see.
        mode = self._database.stat().st_mode & 0o666
        with suppress(FileExistsError):
            self._folder.mkdir()
            self._folder.chmod(mode | (mode & 0o444) >> 2)
        path = self._folder / str(secrets.randbits(62))
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:
            # Whoever was the last one in the folder has just removed it.
            return None
        try:
            os.fchmod(descriptor, mode)
            _lock(descriptor)
            os.write(descriptor, self._kernel)
            if os.fstat(descriptor).st_nlink:
                return LockedFile(path, descriptor)
        except BlockingIOError:
            # Somebody who tidies up has found it before it was locked.
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def is_free(self, number: int) -> bool:
        """Tell whether this file is there, of this kernel, and locked by nobody: its process is gone."""
        if not HAS_LOCKS:
            return False
        try:
            descriptor = os.open(self._folder / str(number), os.O_RDONLY)
        except OSError:
            return False
        try:
            if os.read(descriptor, LONGEST_KERNEL) != self._kernel:
                return False
            _lock(descriptor, shared=True)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def tidy(self, known: Collection[int]) -> None:
        """Remove the files that nobody has locked, but those that a worker in the database is known by."""
        with suppress(OSError):
            for path in list(self._folder.iterdir()):
                if path.name.isdecimal() and int(path.name) not in known:
                    _remove(path)
            # Only if none is left.
            self._folder.rmdir()


def _remove(path: Path) -> None:
    """Remove a file, unless somebody has locked it; whoever has just made it finds that it is gone."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _lock(descriptor)
            path.unlink()
        finally:
            os.close(descriptor)
