"""Measure how long a killed worker's sagas stand still: `make taken-over`.

Real processes are killed by SIGKILL, in the middle of a step and of a message: the only one, which is started again,
and one beside which another stands by.
"""

import argparse
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from servers.postgres_server import open_server
from taken_over.lives import Gap, beside_another, restarted_by_turns

from sagalog.stores import store_for

Ways = dict[str, list[Gap]]


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how often each way kills (200)")
    kills = parser.parse_args(words).kills
    print("| store | the killed worker is | until | median s | p99 s | longest s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="sagalog-taken-over-") as folder, open_server() as server:
        for measure in (_beside, _restarted):
            for name in ("SQLite", "PostgreSQL"):
                path = Path(folder) / f"{measure.__name__}-{name}"
                path.mkdir()
                if name == "SQLite":
                    _show(name, measure(_made(f"sqlite:///{path / 'sagas.db'}"), path, kills))
                else:
                    with server.database() as address:
                        _show(name, measure(_made(address), path, kills))


def _beside(database: str, folder: Path, kills: int) -> Ways:
    return {"beside another": beside_another(database, folder, kills)}


def _restarted(database: str, folder: Path, kills: int) -> Ways:
    without, found = restarted_by_turns(database, folder, kills)
    return {"started again": found, "started again, nothing to wait for": without}


def _made(address: str) -> str:
    store = store_for(address)
    store.open()
    store.close()
    return address


def _show(store: str, ways: Ways) -> None:
    for way, gaps in ways.items():
        seen: dict[str, list[float]] = {
            "the last step is begun again": [gap.steps for gap in gaps],
            "the message is handled again": [gap.messages for gap in gaps],
        }
        if way != "beside another":
            seen["the last step, from when all was imported"] = [gap.steps - gap.opens for gap in gaps]
            seen["the last step, from when it was open"] = [gap.steps - gap.ready for gap in gaps]
        for what, seconds in seen.items():
            ordered = sorted(seconds)
            p99 = ordered[math.ceil(0.99 * len(ordered)) - 1]
            print(
                f"| {store} | {way} | {what} | {ordered[len(ordered) // 2]:.3f} | {p99:.3f} | {ordered[-1]:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
