"""Checks a choreography's contract: every sequence of the participants' reactions must lead to an end. Pure."""

from collections import deque
from collections.abc import Iterator, Sequence

from sagalog.saga.choreography.contract import Contract, Reaction

# The limit of sequences that are checked. Nobody could understand a process with more of them.
MOST_WAYS = 20_000


def reached_from(entries: Sequence[str], reactions: Sequence[Reaction]) -> dict[str, int]:
    """Return every event that can follow from `entries`, themselves included, with its number in that order."""
    found: dict[str, int] = {}
    waiting = deque(entries)
    while waiting:
        name = waiting.popleft()
        if name not in found:
            found[name] = len(found)
            waiting += [output for one in reactions if one.event == name for output in one.outputs]
    return found


def failing_events(
    events: Sequence[str], completes: Sequence[str], fails: Sequence[str], reactions: Sequence[Reaction]
) -> tuple[str, ...]:
    """Return the events after which a process can only fail, never complete."""
    found: list[str] = []
    for name in events:
        reached = reached_from([name], reactions)
        if any(one in reached for one in fails) and not any(one in reached for one in completes):
            found.append(name)
    return tuple(found)


class Ways:
    """Every way that a process can take, followed to its end, to find those without a proper end."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._by_event: dict[str, list[Reaction]] = {}
        for reaction in contract.reactions:
            self._by_event.setdefault(reaction.event, []).append(reaction)
        self._walked = 0

    def mistakes(self) -> list[str]:
        """Return what is wrong, each mistake once, with the first way that shows it."""
        found: dict[str, str] = {}
        for start in self._contract.starts:
            for way in self._from({start: 1}):
                for about, text in (*self._waived(way), *self._ends(way)):
                    found.setdefault(about, f"after {', '.join(way)} {text}")
                if self._walked > MOST_WAYS:
                    return [*found.values(), f"its reactions can go more than {MOST_WAYS:,} ways; divide it"]
        return list(found.values())

    def _from(self, came: dict[str, int], done: frozenset[int] = frozenset()) -> Iterator[dict[str, int]]:
        """Yield how often each event came, for every way to go on from `came` until nobody reacts any more."""
        for name in came:
            for reaction in self._by_event.get(name, ()):
                if id(reaction) not in done:
                    for way in reaction.ways or ((),):
                        counted = {**came, **{one: came.get(one, 0) + 1 for one in way}}
                        yield from self._from(counted, done | {id(reaction)})
                    return
        self._walked += 1
        yield came

    def _waived(self, way: dict[str, int]) -> Iterator[tuple[str, str]]:
        """Yield mistakes for events that may be effects of a failing process, but have no entry in `compensates=`."""
        contract = self._contract
        if not any(name in contract.failing for name in way):
            return
        said = {*contract.starts, *contract.failing, *contract.stuck_with, *contract.from_outside, *contract.completes}
        for name in way:
            if name not in said and name not in contract.compensations:
                text = f"the process fails, and nothing says what undoes {name}"
                yield f"effect {name}", f"{text}; add it to compensates, with None if there is nothing to undo"

    def _ends(self, way: dict[str, int]) -> Iterator[tuple[str, str]]:
        contract = self._contract
        standing = [name for name, undo in contract.compensations.items() if name in way and undo not in (None, *way)]
        undone = any(undo is not None and undo in way for undo in contract.compensations.values())
        verdict = contract.judge(way, standing, undone, False)
        if verdict.why == "contradiction":
            good, bad = verdict.by
            yield f"contradiction {good} {bad}", f"{good} says that it is completed and {bad} that it cannot be"
        elif verdict.status == "compensating" and standing:
            for name in standing:
                undo = contract.compensations[name]
                yield f"stands {name}", f"the process fails and {name} stands: no reaction publishes {undo} on this way"
        elif verdict.status in ("pending", "compensating"):
            last = list(way)[-1]
            yield f"end {last}", "nothing more comes, and it has neither completed nor failed; name its end, or react"
