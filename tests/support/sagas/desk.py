"""A person at the command line who acts on parcel orders, and looks at each action before."""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple, cast

from pages.command_line import Ran, sagalog
from sagas.parcel_orders import SETTINGS, parcel_order

from sagalog.process_manager import ProcessManager

OF_A_MOMENT = frozenset(("time", "until", "position", "next", "began"))
WHY = ("--actor", "ann", "--reason", "ticket 4711")


class Desk(NamedTuple):
    """A database, an app, and a person who acts."""

    address: str
    folder: Path
    app: str

    def sagalog(self, *words: str, **given: Any) -> Ran:
        return sagalog(*words, "--db", self.address, "--app-dir", str(self.folder), "--app", self.app, **given)

    def acts(self, *words: str) -> dict[str, Any]:
        """Act, and return what is told to machines; first it is looked at, which must tell the same."""
        saw = self.sagalog(*words, *WHY, "--action-id", "a-1", "--dry-run", "-o", "json")
        assert (saw.code, saw.err) == (0, "")
        before = self.history(words[1])
        foreseen, did = json.loads(saw.out), self.sagalog(*words, *WHY, "--action-id", "a-1", "-o", "json")
        assert (did.code, did.err) == (0, "")
        told: dict[str, Any] = json.loads(did.out)
        assert told["outcome"] == "done"
        assert foreseen["outcome"] == "would be done"
        assert without_times(foreseen | {"outcome": "done"}) == without_times(told)
        assert self.history(words[1]) == [*before, *told["events"]]
        return told

    def history(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.sagalog("history", name, "-o", "json").out)
        return found

    def row(self, name: str) -> dict[str, Any]:
        (found,) = json.loads(self.sagalog("list", "--key", name, "-o", "json").out)
        return dict(found)

    def goes_on(self, name: str) -> str:
        """Let a worker go on with a saga, and return the status that it comes to rest with."""

        async def work() -> str:
            async with ProcessManager(self.address, sagas=[parcel_order()], settings=SETTINGS) as manager:
                row = await manager.status(name)
                return (await manager.result(row.saga_id, 20)).status

        return asyncio.run(work())


def without_times(value: Any) -> Any:
    """Return JSON without what differs between two moments: times, and the positions of what is not in the log yet."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return {name: without_times(inner) for name, inner in found.items() if name not in OF_A_MOMENT}
    return [without_times(one) for one in cast("list[object]", value)] if isinstance(value, list) else value
