"""Strike workers, servers and databases for as long as asked, one seed after the other, and say what did not hold.

`python -m torture --seconds 300 [--store sqlite|postgres|both] [--seed S] [--kills N]`; without
pytest, `tests/support` has to be on the path (`make torture SECONDS=300` sees to it). Exit code 1: a check failed, and
the command that repeats the seed is printed.
"""

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

from servers.postgres_server import PostgresServer, open_server
from torture.blows import EVERYTHING
from torture.run import Report, repeating, torture, torture_everything


def main() -> int:
    """Run seeds until the time is over or one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="begin no further seed after so long")
    parser.add_argument("--store", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--kills", type=int, default=40, help="SIGKILLs of workers for each seed and store")
    parser.add_argument("--orders", action="store_true", help="kill workers that run orders, and do nothing else")
    parser.add_argument("--without", default="", help="blows that are left out, with commas between: read-only,refuse")
    asked = parser.parse_args()
    stores = ["sqlite", "postgres"] if asked.store == "both" else [asked.store]
    give_up = time.monotonic() + asked.seconds
    total: list[Report] = []
    with ExitStack() as stack:
        server = stack.enter_context(open_server()) if "postgres" in stores else None
        while True:
            seed = SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
            for store in stores:
                report = one(store, seed, asked, server)
                total.append(report)
                if report.violations:
                    return 1
            if asked.seed is not None or time.monotonic() > give_up:
                break
    print(
        f"{len(total)} runs: {sum(one.kills for one in total)} workers and {sum(one.server_kills for one in total)} "
        f"servers killed, {sum(one.sagas for one in total)} sagas, 0 violations"
    )
    return 0


def one(store: str, seed: int, asked: argparse.Namespace, server: PostgresServer | None) -> Report:
    """Run one seed on one store in a folder of its own, which is kept if a check fails."""
    folder = Path(tempfile.mkdtemp(prefix="sagalog-torture-"))
    kept = False
    try:
        on = server if store == "postgres" else None
        server_kills = max(1, asked.kills // 12) if on is not None and on.can_be_killed else 0
        if asked.orders:
            report = torture(folder, seed, asked.kills, on, server_kills)
        else:
            blows = [blow for blow in EVERYTHING if blow.name not in asked.without.split(",")]
            report = torture_everything(folder, seed, asked.kills, on, server_kills, blows)
        print(report, flush=True)
        if report.violations:
            kept = True
            print("\n".join(f"  - {violation}" for violation in report.violations[:20]))
            print(f"what the processes wrote is in {folder}; to repeat it:")
            print(repeating(store, seed, asked.kills, asked.orders, asked.without), flush=True)
        return report
    finally:
        if not kept:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
