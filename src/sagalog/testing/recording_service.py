"""A fake service that sagas can use: idempotent by key, with tombstones, counting its effects. It knows no saga."""

from collections import Counter
from collections.abc import Callable

from sagalog.errors import Refused
from sagalog.saga.context import StepContext


class RecordingService:
    """A service that makes and undoes effects, each once per key, however often it is asked.

    Undoing an effect that was never made leaves a tombstone, so that a request that arrives later is refused (a
    practice of Seata's TCC mode). `made` and `undone` count real effects by the key of the action.
    """

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.undone: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.tombstones: set[str] = set()
        self.refused_late = 0

    def perform(self, key: str) -> None:
        """Make the effect of a key; raises `Refused` if the effect was undone, or undone before it was made."""
        if key in self.tombstones:
            self.refused_late += 1
            raise Refused(f"{key} has been called off")
        if not self.made[key]:
            self.made[key] += 1

    def undo(self, key: str) -> None:
        """Undo the effect of the action with this key, or prevent it from ever being made."""
        if self.made[key] > self.undone[key]:
            self.undone[key] += 1
        self.tombstones.add(key)

    def standing(self) -> set[str]:
        """Return the keys of effects that were made and not undone."""
        return {key for key, times in self.made.items() if times > self.undone[key]}

    def play(self, context: StepContext, script: str) -> Callable[[], None]:
        """Return a function that does what a request does here, according to its script.

        Scripts are "ok", "refused", "fault" (the program is wrong), "down 2" (the first two requests do nothing and get
        no answer) and "mute 2" (the first two are done and get no answer). A compensation is recognized by its key.
        """
        key = context.idempotency_key
        action = context.action_key
        word, _, times = script.partition(" ")

        def act() -> None:
            self.asked[key] += 1
            early = self.asked[key] <= int(times or 0)
            if word == "refused":
                raise Refused("not today")
            if word == "fault":
                raise TypeError("planned mistake")
            if word == "down" and early:
                raise ConnectionError("down")
            if key == action:
                self.perform(action)
            else:
                self.undo(action)
            if word == "mute" and early:
                raise ConnectionError("mute")

        return act

    def disagreements(self, ended: dict[str, str]) -> list[str]:
        """Return where effects do not match the ends of the sagas; `ended` maps saga ids to statuses."""
        found = [f"{key} was made {times} times" for key, times in self.made.items() if times > 1]
        found += [f"{key} was undone {times} times" for key, times in self.undone.items() if times > 1]
        for key in self.standing():
            if ended.get(key.partition(":")[0], "unknown") in ("failed", "unknown"):
                found.append(f"{key} still stands although its saga is {ended.get(key.partition(':')[0])}")
        for key, times in self.undone.items():
            if times and ended.get(key.partition(":")[0]) == "completed":
                found.append(f"{key} was undone although its saga completed")
        return found
