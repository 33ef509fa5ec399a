"""The journals of all processes of a run, read together: who appended, claimed, called and was told what, and when."""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from torture.voyages import CHOREOGRAPHIES, SAGAS
from torture.witness import fingerprint, lines

import domain
from sagalog.codec import CODEC
from sagalog.saga.definition import Definition
from sagalog.saga.evolve import fold
from sagalog.saga.react import AwaitEnd, RunAction, RunCompensation, react
from sagalog.store import StoredEvent

DEFINITIONS: dict[str, Definition] = {
    definition.digest: definition
    for definition in (
        *(saga.definition for saga in (*domain.sagas, *SAGAS)),
        *(choreography.definition for choreography in CHOREOGRAPHIES),
    )
}


class Tried(msgspec.Struct):
    """An append that a process asked its store for."""

    process: str
    saga_id: str
    holder: str | None
    expected: int
    size: int
    print: str
    tried_at: int
    acknowledged: bool = False

    @property
    def versions(self) -> range:
        """The versions that its events have if it landed."""
        return range(self.expected + 1, self.expected + self.size + 1)

    def stands_in(self, stream: list[StoredEvent]) -> bool:
        """Tell whether these very events are in the saga's stream."""
        events = stream[self.expected : self.expected + self.size]
        return len(events) == self.size and fingerprint([(one.topic, one.state) for one in events]) == self.print


class Claim(NamedTuple):
    """That a worker was given a saga."""

    worker_id: str
    asked_at: int
    told_at: int


class GivenBack(msgspec.Struct):
    """That a worker gave sagas back, or all of its own, at some time between the two; it may have died meanwhile."""

    since: int
    what: frozenset[str] | None
    until: float = math.inf


class Call(msgspec.Struct, frozen=True):
    """A service that was asked for something under a key; `version` is what its caller knew to be durable."""

    process: str
    saga_id: str
    key: str
    version: int | None
    at: int


def key_of(saga_id: str, effect: RunAction | RunCompensation) -> str:
    """Return the idempotency key that is promised for an effect: the same for every attempt."""
    if isinstance(effect, RunAction):
        return f"{saga_id}:{effect.step}"
    return f"{saga_id}:{effect.step}:undo" + (f":{effect.epoch + 1}" if effect.epoch else "")


class Journals:
    """Everything that the journals in a folder say."""

    def __init__(self, folder: Path) -> None:
        self.acknowledged: list[tuple[str, str, bool]] = []
        self.posted: set[str] = set()
        self.published: list[tuple[str, str]] = []
        self.mended: list[tuple[str, str]] = []
        # How far clocks were set wrong, in microseconds: so much less is known of who was first.
        self.skew = 0
        self.appends: dict[tuple[str, str, int, str], Tried] = {}
        self.claims: dict[str, list[Claim]] = {}
        self.calls: list[Call] = []
        self._conflicts: Counter[str] = Counter()
        self._by_saga: dict[str, list[Tried]] = {}
        self._leases: dict[str, list[tuple[int, int]]] = {}
        # When others have begun to end the lease of a worker that showed no sign of life.
        self._ended: dict[str, list[int]] = {}
        self._given_back: dict[str, list[GivenBack]] = {}
        for path in sorted(folder.glob("*.journal")):
            self._read(path)

    def landed(self, saga_id: str, stream: list[StoredEvent]) -> Iterator[Tried]:
        """Yield the appends that are in the log, acknowledged or not."""
        return (one for one in self._by_saga.get(saga_id, []) if one.stands_in(stream))

    def held(self, worker_id: str, saga_id: str, claim: Claim) -> bool:
        """Tell whether a worker had the saga beyond doubt when another claimed it: it had renewed its lease before."""
        own = [one for one in self.claims.get(saga_id, []) if one.worker_id == worker_id]
        since = max((one.asked_at for one in own if one.told_at <= claim.told_at), default=0)
        for one in self._given_back.get(worker_id, []):
            # It may have been given back while it was asked whose it is.
            if one.since <= claim.told_at and since <= one.until and (one.what is None or saga_id in one.what):
                return False
        sure, ended = claim.asked_at + 2 * self.skew, self._ended.get(worker_id, [])
        # A lease that was renewed after somebody saw it is not ended by that.
        return any(
            at < claim.asked_at and sure < until and not any(at <= ending <= claim.told_at for ending in ended)
            for at, until in self._leases.get(worker_id, [])
        )

    def conflicts(self, process: str | None = None) -> int:
        """Return how many appends of a process, or of all, were refused because the saga was another's."""
        return self._conflicts.total() if process is None else self._conflicts[process]

    def takeovers(self, streams: dict[str, list[StoredEvent]]) -> int:
        """Return how often a saga was gone on with by another worker than the one before."""
        found = 0
        for saga_id, stream in streams.items():
            by_version = sorted(self.landed(saga_id, stream), key=lambda one: one.expected)
            holders = [one.holder for one in by_version if one.holder is not None]
            found += sum(one != other for one, other in pairwise(holders))
        return found

    def claim_before(self, append: Tried) -> Claim | None:
        """Return the last claim by which whoever made this append had been given the saga, if there is one."""
        claims = [claim for claim in self.claims.get(append.saga_id, []) if claim.worker_id == append.holder]
        return max((claim for claim in claims if claim.told_at <= append.tried_at), default=None)

    def taken_since(self, claim: Claim, append: Tried) -> str | None:
        """Return another worker that was given the saga between this claim of it and this append, if there is one."""
        for other in self.claims[append.saga_id]:
            if claim.told_at < other.asked_at and other.told_at < append.tried_at and other.worker_id != append.holder:
                return other.worker_id
        return None

    def extend_leases(self, microseconds: int) -> None:
        """Pretend that every lease had been longer and that nobody had ended one, for what tests the checks."""
        self._ended.clear()
        for leases in self._leases.values():
            leases[:] = [(at, until + microseconds) for at, until in leases]

    @staticmethod
    def due(stream: list[StoredEvent]) -> dict[str, int]:
        """Return the keys under which services may be asked in the state after these events, and from when on.

        An attempt that goes on when its saga is undone is waited for: its call may come now, if it waited for a thread.
        """
        state = fold(CODEC.decode_all((event.topic, event.state) for event in stream))
        effects = react(DEFINITIONS[state.digest], state)
        saga_id = stream[0].saga_id
        runs = [effect for effect in effects if isinstance(effect, RunAction | RunCompensation)]
        settled = {f"{saga_id}:{effect.step}": 0 for effect in effects if isinstance(effect, AwaitEnd)}
        return settled | {key_of(saga_id, effect): effect.at for effect in runs}

    def _read(self, path: Path) -> None:
        known: dict[str, int] = {}
        giving_back: dict[int, GivenBack] = {}
        for kind, at, *fields in lines(path):
            if kind == "releasing":
                number, worker_id, what = fields
                one = GivenBack(at, None if what is None else frozenset(what))
                giving_back[number] = one
                self._given_back.setdefault(worker_id, []).append(one)
            elif kind == "released":
                giving_back[fields[0]].until = at
            elif kind == "tried":
                self._tried(path.stem, at, fields[0])
            elif kind == "told":
                self._told(path.stem, known, *fields)
            elif kind == "seen":
                for saga_id, version in fields[0]:
                    # A reading that began before an append ends after it is known: streams only grow.
                    known[saga_id] = max(version, known.get(saga_id, 0))
            elif kind == "called":
                saga_id = fields[0].split(":", 1)[0]
                self.calls.append(Call(path.stem, saga_id, fields[0], known.get(saga_id), at))
            else:
                self._note(kind, at, fields)

    def _note(self, kind: str, at: int, fields: list[Any]) -> None:
        match kind, fields:
            case "claimed", [worker_id, asked_at, saga_ids]:
                for saga_id in saga_ids:
                    self.claims.setdefault(saga_id, []).append(Claim(worker_id, asked_at, at))
            case "leased", [worker_id, until]:
                self._leases.setdefault(worker_id, []).append((at, until))
            case "ending", [worker_id]:
                self._ended.setdefault(worker_id, []).append(at)
            case "acknowledged", [key, saga_id, created]:
                self.acknowledged.append((key, saga_id, created))
            case "posted", [message_ids]:
                self.posted.update(message_ids)
            case "published", [message_id, key]:
                self.published.append((message_id, key))
            case "mended", [what, why]:
                self.mended.append((what, why))
            case "skewed", [offset]:
                self.skew = max(self.skew, abs(offset))
            case _:
                return  # what only its own process reads

    def _tried(self, process: str, at: int, appends: list[Any]) -> None:
        for saga_id, holder, expected, size, found in appends:
            place = (process, saga_id, expected, found)
            if place not in self.appends:
                one = Tried(process, saga_id, holder, expected, size, found, at)
                self.appends[place] = one
                self._by_saga.setdefault(saga_id, []).append(one)

    def _told(self, process: str, known: dict[str, int], appends: list[Any], outcomes: list[str]) -> None:
        for (saga_id, _, expected, size, found), outcome in zip(appends, outcomes, strict=True):
            if outcome == "conflict":
                self._conflicts[process] += 1
            if outcome == "written":
                self.appends[process, saga_id, expected, found].acknowledged = True
                known[saga_id] = expected + size
