"""Ends the processes of a PostgreSQL server, and watches over it from another process; knows nothing of pytest or SQL.

Run as a program (`python postgres_processes.py FOLDER`) it is the watchdog: it waits until its standard input is
closed, which happens however its parent dies, and then ends the server in the folder and removes the folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.005


def postmaster_of(data: Path) -> psutil.Process | None:
    """Return the server process that runs on this data folder, or None.

    The pid file outlives a killed server, and its number may by then belong to another process: never to be returned.
    """
    try:
        first_line = (data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]
        postmaster = psutil.Process(int(first_line))
        command = postmaster.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return postmaster if str(data) in command else None


def kill(postmaster: psutil.Process) -> None:
    """End a server and all of its processes with SIGKILL, and return when none of them is left."""
    with suppress(psutil.NoSuchProcess):
        postmaster.suspend()  # a stopped postmaster starts no further child between the listing and the killing
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_for_end(processes)


def end_at_once(postmaster: psutil.Process) -> None:
    """Let a server release what the system holds for it, without the checkpoint of a clean stop."""
    with suppress(psutil.NoSuchProcess):
        processes = [postmaster, *postmaster.children(recursive=True)]
        postmaster.send_signal(signal.SIGQUIT)
        try:
            wait_for_end(processes)
        except TimeoutError:
            kill(postmaster)


def wait_for_end(processes: list[psutil.Process]) -> None:
    """Return when none of the processes runs any more; one that only waits to be reaped has ended.

    Raises:
        TimeoutError: One still runs after PATIENCE_SECONDS.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    while running := [process for process in processes if runs(process)]:
        if time.monotonic() > give_up:
            message = f"processes {[process.pid for process in running]} still run after {PATIENCE_SECONDS:.0f} s"
            raise TimeoutError(message)
        time.sleep(POLL_SECONDS)


def runs(process: psutil.Process) -> bool:
    """Tell whether a process has not ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_watchdog(folder: Path) -> subprocess.Popen[bytes]:
    """Start the watchdog over a folder; closing its standard input sets it off.

    It is in a session of its own, so that what kills a process group or is typed at a terminal does not reach it.
    """
    return subprocess.Popen(
        [sys.executable, "-I", __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def watch(folder: Path) -> None:
    """Wait for the end of standard input, then leave neither a server nor its folder behind."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    postmaster = postmaster_of(folder / "data")
    if postmaster is not None:
        end_at_once(postmaster)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
