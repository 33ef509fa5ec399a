"""The participant kit at every crash point and in every order of deliveries: nothing is ever half, nothing twice."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest
from sagas import bank_crashes
from sagas.bank import Bank, fail, pay_command, refund_command, refuse

from sagalog.messages import Envelope
from sagalog.participant_kit import ParticipantKit

DELIVERIES: list[tuple[str, Callable[..., Envelope], int]] = [
    ("pay", pay_command, 1),
    ("pay", pay_command, 2),
    ("refund", refund_command, 1),
    ("refund", refund_command, 2),
]
OUTCOMES: list[Callable[[], None]] = [lambda: None, refuse, fail]


def test_whatever_comes_in_whatever_order_an_effect_is_made_once_and_undone_once() -> None:
    """Invariants 7, 21, 22 and 23: every sequence of three deliveries, with every outcome of each."""
    bank = Bank(sqlite3.connect(":memory:"), ParticipantKit("bank"))
    bank.create()
    for number, deliveries in enumerate(product(product(DELIVERIES, OUTCOMES), repeat=3)):
        order, undone = f"o-{number}", False
        for (what, make, round_), then in deliveries:
            try:
                answers = (bank.pay if what == "pay" else bank.refund)(make(order, round_), then)
            except ConnectionError:
                continue
            undone = undone or (what == "refund" and answers[0].name != "CommandRefused")
        entries = bank.entries(order)
        assert entries[1] <= 1
        assert entries[-1] <= entries[1]
        if undone:
            assert entries[1] == entries[-1], [(what, round_) for (what, _, round_), _ in deliveries]
    bank.connection.close()


@pytest.mark.crash
def test_a_kill_at_any_line_leaves_nothing_half(each_bank_address: tuple[str, str]) -> None:
    """Invariants 5, 7, 21, 22 and 23: SIGKILL at lines of the kit, of the bank and of psycopg; then delivered again."""
    asked = subprocess.run(
        [sys.executable, "-P", bank_crashes.__file__, *each_bank_address], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    found = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [crash["wrong"] for crash in found if crash["wrong"]] == []
    # Each of the deliveries was killed at many points, before its commit and after it.
    for story, number in Counter(crash["story"] for crash in found).items():
        assert number > 20, story
        landed = [crash["landed"] for crash in found if crash["story"] == story]
        assert True in landed
        assert False in landed
