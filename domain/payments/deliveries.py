"""What a broker delivers to the payment service: handled, answered, and only then acknowledged; it knows no broker.

A crash between any two of these makes the broker deliver again, and the inbox answers the same again.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

from domain.errors import Unavailable
from domain.payments.inbox import PaymentsInbox
from sagalog.cloudevents import Unreadable, decode
from sagalog.errors import SagalogError, TransportUnavailable
from sagalog.messages import Envelope
from sagalog.transport import Incoming, Receipt

logger = logging.getLogger("domain.payments")

Send = Callable[[Sequence[Envelope]], Awaitable[list[str | None]]]

TAKEN = Receipt(taken=True)
AGAIN = Receipt(taken=False, pause=0.2)
MOST_DELIVERIES = 5
"""How often something is tried that fails for a reason nobody foresaw."""


class Deliveries:
    """What takes one delivery at a time from a transport; a call never raises."""

    def __init__(self, inbox: PaymentsInbox, send: Send) -> None:
        self._inbox = inbox
        self._send = send

    async def __call__(self, incoming: Incoming) -> Receipt:
        """Handle a command and send its answers; what cannot be one is logged and dropped."""
        message = decode(incoming.attributes, incoming.body, 0, "payments")
        if isinstance(message, Unreadable):
            logger.error("dropped what is no message: %s", message.reason)
            return TAKEN
        try:
            answers = await asyncio.to_thread(self._inbox.handle, message)
            for problem in await self._send(answers):
                if problem is not None:
                    logger.error("the answer to %s is not sent: %s", message.id, problem)
        except (Unavailable, TransportUnavailable, sqlite3.OperationalError) as problem:
            logger.warning("%s is asked for again: %s", message.id, problem)
            return AGAIN
        except (KeyError, SagalogError) as problem:
            logger.error("dropped %s %s, which is no command of ours: %s", message.name, message.id, problem)
        except Exception:
            # The order process does not wait for ever either: what it does not hear of, it has undone.
            logger.exception("%s %s failed, delivery %d", message.name, message.id, incoming.deliveries)
            return AGAIN if incoming.deliveries < MOST_DELIVERIES else TAKEN
        return TAKEN
