"""A person who presses Ctrl-C while a handler computes ends the process; whatever else it raises is an outcome."""

import os
import signal
import subprocess
import sys
from pathlib import Path

INTERRUPTED = """
import asyncio, os, signal, sys, time
import msgspec
from sagalog import Saga
from sagalog.process_manager import ProcessManager

class Order(msgspec.Struct):
    id: str = "o-1"

saga = Saga("endless", input=Order, key=lambda order: order.id)

@saga.step(compensation=None)
async def work(order: Order) -> None:
    print("working", flush=True)
    while True:
        pass

async def main() -> None:
    async with ProcessManager("memory://", sagas=[saga]) as manager:
        await manager.execute(saga, Order())

# What a shell runs in the background inherits that interrupts are ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""


def test_an_interrupt_in_the_middle_of_an_async_handler_ends_the_process(tmp_path: Path) -> None:
    program = tmp_path / "endless.py"
    program.write_text(INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            os.kill(process.pid, signal.SIGINT)
            _, told = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert told.rstrip().endswith("KeyboardInterrupt")
