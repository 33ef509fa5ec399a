"""The payments desk where it keeps its own database: a command, its effect and its answer are one transaction there.

It must not know what carries the messages. A command that comes again is answered the same and does nothing; one that
comes after it was called off is refused. So whoever delivers may deliver twice, and in any order.
"""

from domain.database import Database
from domain.payments.commands import payments_desk
from domain.payments.messages import RefundPayment
from domain.payments.service import Payments
from sagalog import Event, MessageContext
from sagalog.messages import Envelope
from sagalog.participant_kit import ParticipantKit


class PaymentsInbox:
    """What takes the commands of the payment service, each once."""

    def __init__(self, database: Database) -> None:
        self.payments = Payments(database)
        self._database = database
        self._kit = ParticipantKit("payments")
        with database.transaction() as connection:
            self._kit.create(connection)

    def handle(self, message: Envelope) -> list[Envelope]:
        """Do what a command asks for, unless that was done, and return the answers, to be sent now that it is durable.

        Raises KeyError for what is no command of the desk, InvalidInput for one that cannot be read, and
        BankUnavailable: then nothing has happened, and it has to be delivered again.
        """
        [handler] = payments_desk.definition.handlers[message.name]
        command = handler.read(message.data)
        context = MessageContext(
            message_id=message.id,
            correlation_id=message.correlation_id,
            causation_id=message.causation_id,
            source=message.source,
            attempt=1,
            participant=payments_desk.name,
        )
        undoes = command.undoes if isinstance(command, RefundPayment) else None
        if undoes is not None:
            # Before the transaction begins: nothing that waits for others belongs inside.
            self.payments.reach_bank(undoes)

        def do() -> Event:
            answer: Event = handler.function(command, bank=self.payments, ctx=context)
            return answer

        with self._database.transaction() as connection:
            return self._kit.handle(connection, message, do, undoes=undoes, nothing_to_undo=do)
