"""The app that was running when the recorded databases were written; it must declare the same for ever.

A saga is only ever run by the definition with which it began. Whoever changes a saga here can open none of them any
more, and that is no mistake of the library.
"""

from collections.abc import Mapping
from contextlib import nullcontext

from earlier_database.by_messages import PARTICIPANTS, SAGAS_OF_MESSAGES, purchase
from earlier_database.by_steps import SAGAS_OF_STEPS
from earlier_database.yard import Outside, Yard

sagas = [*SAGAS_OF_STEPS, *SAGAS_OF_MESSAGES]
participants = PARTICIPANTS
choreographies = [purchase]


def transports() -> list[Outside]:
    return [Outside()]


def services() -> nullcontext[Mapping[type, object]]:
    return nullcontext({Yard: Yard(mended=True)})
