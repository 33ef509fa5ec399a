"""A process that delivers commands to a bank in children that are killed at each line, and says what was left.

It is run as a script with a kind of database and its address. It prints one line of JSON for each kill.
"""

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "tests" / "support")]

import psycopg.transaction  # noqa: E402
from sagas import bank as bank_module  # noqa: E402
from sagas.bank import Bank, banks, pay_command, refund_command  # noqa: E402

import sagalog.participant_kit  # noqa: E402

TRACED = (
    str(Path(sagalog.participant_kit.__file__).parent),
    str(psycopg.transaction.__file__),
    str(bank_module.__file__),
)

# What is delivered before, what is killed, and the entries once it has been delivered again.
STORIES: dict[str, tuple[list[str], str, Counter[int]]] = {
    "a payment": ([], "pay", Counter({1: 1})),
    "a refund": (["pay"], "refund", Counter({1: 1, -1: 1})),
    "a refund that comes first": ([], "refund", Counter()),
    "a payment after its refund": (["refund"], "pay", Counter()),
}


def deliver(bank: Bank, what: str, order: str) -> list[Any]:
    return bank.pay(pay_command(order)) if what == "pay" else bank.refund(refund_command(order))


def killed(kind: str, address: str, what: str, order: str, line: int) -> bool:
    """Deliver in a child that kills itself at a line, counted from 1; False if it ended before."""
    child = os.fork()
    if child == 0:
        with banks(kind, address) as connect:
            bank = connect()
            seen = 0

            def trace(frame: FrameType, event: str, _: Any) -> Any:
                nonlocal seen
                if not frame.f_code.co_filename.startswith(TRACED):
                    return None
                if event == "line":
                    seen += 1
                    if seen == line:
                        os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)
            deliver(bank, what, order)
            sys.settrace(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def wrongs(bank: Bank, story: str, order: str) -> tuple[list[str], bool]:
    """Return what is wrong after a kill and after what is delivered then, and whether what was killed had landed."""
    before, what, expected = STORIES[story]
    entries = bank.entries(order)
    status = bank.status(order)
    known = {"done": Counter({1: 1}), "undone": Counter({1: 1, -1: 1})}.get(str(status), Counter[int]())
    wrong = [] if entries == known else [f"{status} with {entries}"]
    deliveries = {row[0]: row[2] for row in bank.rows("inbox")}
    landed = deliveries.get(f"{order}:pay", 0) > len(before)
    first = deliver(bank, what, order)
    if deliver(bank, what, order) != first:
        wrong.append("another answer")
    if bank.entries(order) != expected:
        wrong.append(f"in the end {bank.entries(order)}")
    return wrong, landed


def main(kind: str, address: str) -> None:
    with banks(kind, address) as connect:
        bank = connect()
        for story, (before, what, _) in STORIES.items():
            # A kill on PostgreSQL takes ten times as long, for each child has to connect.
            line = 0 if kind == "sqlite" else -3
            while True:
                line += 1 if kind == "sqlite" else 4
                order = f"{story} {line}"
                for one in before:
                    deliver(bank, one, order)
                if not killed(kind, address, what, order, line):
                    break
                wrong, landed = wrongs(bank, story, order)
                print(json.dumps({"story": story, "line": line, "wrong": wrong, "landed": landed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
