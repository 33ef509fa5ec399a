"""The payment service as a process behind the broker: `python -m domain.payments`; it runs no saga.

SHOP_BROKER says where the broker is, PAYMENTS_DB names the SQLite file of its own. SIGTERM ends it.
"""

import asyncio
import logging
import os
import signal

from domain.broker import broker_address, transport_of_payments
from domain.database import Database
from domain.payments.deliveries import Deliveries
from domain.payments.inbox import PaymentsInbox

logger = logging.getLogger("domain.payments")

DEFAULT_BROKER = "nats://127.0.0.1:4222"


async def main() -> None:
    """Answer commands until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with Database(os.environ.get("PAYMENTS_DB", "payments.db")) as database:
        transport = transport_of_payments(broker_address() or DEFAULT_BROKER)
        await transport.open(Deliveries(PaymentsInbox(database), transport.send))
        logger.info("the payment service takes commands")
        await stop.wait()
        await transport.close()


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
asyncio.run(main())
