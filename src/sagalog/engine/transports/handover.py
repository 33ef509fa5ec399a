"""Hands messages to a transport so that one that fails does not block the others. It uses no store.

If a batch fails, its messages are sent one by one, so that the good ones are repeated once at most. A message that
fails alone is tried a few times more; then the failure is its outcome, and it is never sent.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import cast

from sagalog.engine.backoff import Pauses
from sagalog.engine.ending import raise_if_ending
from sagalog.errors import TransportUnavailable
from sagalog.messages import Envelope
from sagalog.saga.failure import described
from sagalog.transport import Transport

logger = logging.getLogger("sagalog.engine")

# None: the broker has it. A text: why it never will.
Outcomes = dict[int, str | None]

# How often a message is tried alone after an unexpected error, and the pauses between.
MOST_TRIES = 5
PAUSES = Pauses(0.1, 0.8)
# After so many seconds without an answer to one call, the broker counts as away.
LONGEST_SEND = 300.0


async def hand_over(transport: Transport, found: Sequence[tuple[int, Envelope]], outcomes: Outcomes) -> None:
    """Send the messages, keyed by number, that have no outcome yet; each outcome is added as soon as it is known.

    Raises `TransportUnavailable` if the broker is away. Messages without an outcome must then be handed over again.
    """
    left = [one for one in found if one[0] not in outcomes]
    if not left:
        return
    try:
        given = await _send(transport, [envelope for _, envelope in left])
    except TransportUnavailable:
        raise
    except BaseException as problem:
        raise_if_ending(problem)
        logger.warning("%d messages are sent over %s one by one: %s", len(left), transport.name, described(problem))
    else:
        outcomes.update((number, why) for (number, _), why in zip(left, given, strict=True))
        return
    for tries in range(1, MOST_TRIES + 1):
        await _send_one_by_one(transport, left, outcomes, tries)
        left = [one for one in left if one[0] not in outcomes]
        if not left:
            return
        await asyncio.sleep(PAUSES.after(tries))


async def _send_one_by_one(
    transport: Transport, left: Sequence[tuple[int, Envelope]], outcomes: Outcomes, tries: int
) -> None:
    for number, envelope in left:
        try:
            outcomes[number] = (await _send(transport, [envelope]))[0]
        except TransportUnavailable:
            raise
        except BaseException as problem:
            raise_if_ending(problem)
            if tries == MOST_TRIES:
                logger.error("message %s cannot be sent over %s", envelope.id, transport.name, exc_info=problem)
                outcomes[number] = f"it failed {tries} times: {described(problem)}"


async def _send(transport: Transport, envelopes: Sequence[Envelope]) -> list[str | None]:
    """Call a transport and check its answer; raises `TransportUnavailable` if the broker is away.

    Raises `TypeError` if the transport, which may be the user's, does not return one outcome for each message.
    """
    try:
        async with asyncio.timeout(LONGEST_SEND):
            given = cast(object, await transport.send(envelopes))
    except OSError as problem:
        # Failed connections and timeouts are never the fault of one message.
        raise TransportUnavailable(f"{transport.name}: {described(problem)}") from problem
    except BaseExceptionGroup as group:
        # A transport may send in a task group of its own.
        away = group.subgroup((TransportUnavailable, OSError))
        if away is None:
            raise
        raise TransportUnavailable(f"{transport.name}: {described(away)}") from group
    if not isinstance(given, list) or len(cast("list[object]", given)) != len(envelopes):
        raise TypeError(f"expected a list with an outcome for each of {len(envelopes)} messages, found {given!r:.80}")
    for why in cast("list[object]", given):
        if not isinstance(why, str | None):
            raise TypeError(f"expected None or a text as the outcome of a message, found {why!r:.80}")
    return cast("list[str | None]", given)
