"""Steps that wait, for an event or for time to pass, as they are declared; they are no functions and call none."""

from typing import Generic, TypeVar

from sagalog.messages import Event

EventT = TypeVar("EventT", bound=Event)


class WaitStep(Generic[EventT]):
    """A declared wait for an event. Its result, for later steps, is the event."""

    def __init__(self, name: str, event: type[EventT]) -> None:
        self.name = name
        self.event = event

    def __repr__(self) -> str:
        return f"<Wait {self.name}>"


class SleepStep:
    """A declared pause."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<Sleep {self.name}>"


def snake_case(name: str) -> str:
    """Return the name of a class as that of a step: `ParcelArrived` is `parcel_arrived`."""
    letters: list[str] = []
    for number, letter in enumerate(name):
        before, after = name[number - 1 : number], name[number + 1 : number + 2]
        if letter.isupper() and before and (before.islower() or before.isdigit() or after.islower()):
            letters.append("_")
        letters.append(letter.lower())
    return "".join(letters)


def nothing() -> None:
    """Be the handler of a step that has none."""
