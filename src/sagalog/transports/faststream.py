"""The adapter to NATS JetStream, RabbitMQ and Kafka through FastStream; it decides nothing about messages.

A lost connection is never repaired: a new one is made from the beginning, with its declarations and subscriptions. So
every connection is made in the same way. `Link` covers the differences between brokers.
"""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Protocol, cast

from sagalog.address import LONGEST_ADDRESS, as_meant, cut, hosts_of, impossible_host, secrets_of, shown
from sagalog.cloudevents import encode, headers_of
from sagalog.errors import DefinitionError, TransportUnavailable
from sagalog.harmless import harmless
from sagalog.messages import Command, Envelope, Event, Message, name_of
from sagalog.saga.durations import LONGEST, Duration, seconds_of
from sagalog.saga.failure import described
from sagalog.saga.options import listed
from sagalog.saga.options import shown as as_given
from sagalog.transport import Receiver
from sagalog.transports.link import Link, MessageRefused, Plan

logger = logging.getLogger("sagalog.transports")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
LONGEST_TEXT = 2_000
# How many messages may wait for an acknowledgement at the same time.
IN_FLIGHT = 100
# A length that every broker takes for a subject, a routing key (255 bytes) or a topic (249 characters).
LONGEST_SUBJECT = 240
# For every driver: a failed connection, a timeout, or interrupted sending.
AWAY = (OSError, asyncio.CancelledError)
# What a driver raises when it cannot encode a message.
UNWRITABLE = (ValueError, TypeError, OverflowError)

# By the address's scheme: the name of the broker, the module with its link, and the package to install.
BROKERS = {
    "nats": ("nats", "jetstream", "sagalog[faststream]"),
    "tls": ("nats", "jetstream", "sagalog[faststream]"),
    "amqp": ("rabbitmq", "rabbitmq", "'faststream[rabbit]'"),
    "amqps": ("rabbitmq", "rabbitmq", "'faststream[rabbit]'"),
    "kafka": ("kafka", "kafka", "'faststream[kafka]'"),
}

# Names that every broker accepts: for a durable consumer, a queue or a group; and for a subject, a key or a topic.
_A_SERVICE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_A_WORD = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)

Named = type[Message] | str


class _LinkModule(Protocol):
    def link(self, plan: Plan) -> Link: ...


class FastStreamTransport:
    """Commands and events over a broker: `FastStreamTransport("nats://host:4222", service="orders", ...)`.

    `service` names this application on the broker: all its processes share one durable consumer, and each message goes
    to one of them. `sends` and `listens` are message classes, or names (which mean both the command and the event of
    that name). A message goes to the subject `{prefix}.commands.{name}` or `{prefix}.events.{name}`; services that talk
    to each other must have the same prefix.

    All durations are seconds or a timedelta. After `acknowledge_within` the broker delivers again what was not
    acknowledged. `keep` is how long it keeps messages (None: for ever; NATS only). `options` are further arguments of
    FastStream's broker class (`security=...`). Raises `DefinitionError` for names that no broker can have.
    """

    def __init__(
        self,
        address: str,
        *,
        service: str,
        sends: Sequence[Named] = (),
        listens: Sequence[Named] = (),
        prefix: str = "sagalog",
        name: str | None = None,
        acknowledge_within: Duration = 10.0,
        keep: Duration | None = None,
        connect_timeout: Duration = 5.0,
        send_timeout: Duration = 5.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        broker, self._module, address = _broker_of(address)
        self.name = broker if name is None else name
        outgoing = {pair for one in _named(sends, "sends") for pair in _pairs(one)}
        incoming = {pair for one in _named(listens, "listens") for pair in _pairs(one)}
        self._sends = outgoing
        for kind, text in (("service", service), ("transport", self.name)):
            if not _is_like(_A_SERVICE, text):
                raise DefinitionError(
                    f"expected 1 to 64 letters, digits, - and _ as the {kind}, found {as_given(text)}"
                )
        if not _is_like(_A_WORD, prefix):
            raise DefinitionError(f"expected words of letters, digits, - and _ as the prefix, found {as_given(prefix)}")
        if options is not None and not isinstance(cast(object, options), Mapping):
            raise DefinitionError(f"expected {{name: value}} for options=, found {as_given(options)}")
        self._prefix = prefix
        _check_lengths(sorted(self._subject(*pair) for pair in outgoing | incoming))
        self._plan = Plan(
            address=address,
            service=service,
            prefix=prefix,
            subjects=sorted(self._subject(*pair) for pair in incoming),
            options=dict(options or {}),
            acknowledge_within=_seconds(acknowledge_within, "acknowledge_within"),
            keep=None if keep is None else _seconds(keep, "keep"),
            connect_timeout=_seconds(connect_timeout, "connect_timeout"),
            send_timeout=_seconds(send_timeout, "send_timeout"),
        )
        self._link: Link | None = None
        self._gone = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<FastStreamTransport {self.name} of {self._plan.service}>"

    def _subject(self, kind: str, name: str) -> str:
        return f"{self._prefix}.{kind}s.{name}"

    def carries(self, envelope: Envelope) -> bool:
        """Tell whether messages like this one are in `sends`."""
        return (envelope.kind, envelope.name) in self._sends

    async def open(self, receive: Receiver) -> None:
        """Begin to connect; reconnect until `close` is called."""
        self._begin(receive)

    def _begin(self, receive: Receiver) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep(receive), name=f"sagalog-{self.name}")
        self._task.add_done_callback(partial(self._has_ended, receive))

    def _has_ended(self, receive: Receiver, task: "asyncio.Task[None]") -> None:
        """Connect again after foreign code ended the connecting task, such as a handler that cancels all tasks."""
        if task.cancelled() and not self._closing.is_set():
            logger.error("%s was cancelled by code that is not sagalog's, and connects anew", self.name)
            self._again = asyncio.get_running_loop().call_later(FIRST_PAUSE, self._begin, receive)

    async def close(self) -> None:
        """Disconnect after what is being received."""
        self._closing.set()
        if self._again is not None:
            self._again.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self, receive: Receiver) -> None:
        pause, told = FIRST_PAUSE, False
        while not self._closing.is_set():
            link = self._module.link(self._plan)
            try:
                async with asyncio.timeout(self._plan.connect_timeout * 2):
                    await link.open(receive)
                if told:
                    logger.warning("%s is connected again", self.name)
                pause, told = FIRST_PAUSE, False
                self._gone.clear()
                self._link = link
                problem = await self._lost(link)
            except Exception as failure:
                # Drivers raise many kinds of exceptions; none of them may end this loop.
                problem = f"{type(failure).__name__}: {failure}"
            finally:
                self._link = None
                self._gone.set()
                await _close(link)
            if not told and not self._closing.is_set():
                told = True
                logger.warning("%s is not connected, trying again: %s", self.name, self._without_secrets(problem))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _lost(self, link: Link) -> str:
        """Return why the link was lost, or that it is to be closed.

        The check runs in a task of its own, because it may swallow the only cancellation that it gets.
        `asyncio.wait_for` of Python 3.11 does so if what it waits for arrives at the same moment.
        """
        looking = asyncio.ensure_future(link.lost())
        looking.add_done_callback(_hear)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait((looking, closing), return_when=asyncio.FIRST_COMPLETED)
            return looking.result() if looking.done() else "it is being closed"
        finally:
            looking.cancel()
            closing.cancel()

    def _without_secrets(self, text: str) -> str:
        return harmless(cut(text, secrets_of(self._plan.address)), LONGEST_TEXT)

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        """Send and wait for every acknowledgement; see `Transport.send`."""
        link = self._link
        if link is None:
            raise TransportUnavailable(f"{self.name} is not connected; what goes there is kept and sent later")
        outcomes: list[str | None] = []
        for first in range(0, len(envelopes), IN_FLIGHT):
            outcomes += await self._send(link, envelopes[first : first + IN_FLIGHT])
        return outcomes

    async def _send(self, link: Link, envelopes: Sequence[Envelope]) -> list[str | None]:
        lost: asyncio.Future[Any] = asyncio.ensure_future(self._gone.wait())
        sendings = [asyncio.ensure_future(self._send_one(link, envelope)) for envelope in envelopes]
        all_sent: asyncio.Future[list[Any]] = asyncio.gather(*sendings, return_exceptions=True)
        try:
            # A driver may wait for an answer on a lost connection until its timeout; this wait ends at once.
            bound = self._plan.send_timeout * 2
            await asyncio.wait([all_sent, lost], timeout=bound, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            for sending in sendings:
                sending.cancel()
            outcomes = await all_sent
        problems = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        # Imported here, because declaring a transport must not need the driver; a demo opens no transport.
        from faststream.exceptions import FastStreamException

        away: tuple[type[BaseException], ...] = (*AWAY, FastStreamException, *link.away)
        for problem in problems:
            # On a lost connection a driver may fail in any way.
            if isinstance(problem, away) or self._link is not link:
                text = self._without_secrets(described(problem))
                raise TransportUnavailable(f"{self.name} did not acknowledge a message: {text}") from None
        if problems:
            raise problems[0]
        return outcomes

    async def _send_one(self, link: Link, envelope: Envelope) -> str | None:
        try:
            attributes, body = encode(envelope, self._plan.service)
            subject = self._subject(envelope.kind, envelope.name)
            headers = headers_of(attributes, link.binding)
        except Exception as problem:
            return f"it cannot be written down: {described(problem)}"
        try:
            await link.publish(subject, envelope.kind, headers, body, envelope.correlation_id)
        except MessageRefused as refusal:
            return str(refusal)
        except UNWRITABLE as problem:
            if self._link is not link:
                raise
            return f"it cannot be written down: {described(problem)}"
        return None


async def _close(link: Link) -> None:
    try:
        async with asyncio.timeout(20):
            await link.close()
    except Exception as problem:
        # The link is abandoned; a broken connection cannot be closed cleanly.
        logger.debug("a lost connection was not closed in good order: %s", problem)


def _hear(looking: "asyncio.Future[str]") -> None:
    if not looking.cancelled():
        logger.debug("a link was looked after until %r", looking.exception() or looking.result())


def _broker_of(address: str) -> tuple[str, _LinkModule, str]:
    """Return the name of a broker, the module with its link, and its normalized address."""
    if not isinstance(cast(object, address), str):
        raise DefinitionError(f"expected the address of a broker, such as nats://host:4222, found {as_given(address)}")
    address = as_meant(address)
    scheme, found, _ = address.partition("://")
    if not found or scheme not in BROKERS or len(address) > LONGEST_ADDRESS:
        known = ", ".join(f"{one}://" for one in BROKERS)
        raise DefinitionError(f"expected the address of a broker ({known}), found {shown(address)}")
    impossible = impossible_host(hosts_of(address))
    if impossible is not None:
        raise DefinitionError(
            f"expected the address of a broker, found the host {impossible}, which no machine can have: between two "
            "dots are 1 to 63 letters; a special character in a password is written as %XX"
        )
    name, module, package = BROKERS[scheme]
    try:
        return name, cast(_LinkModule, import_module(f"sagalog.transports.{module}")), address
    except ImportError as problem:
        raise DefinitionError(f"{name} needs a driver ({problem}): pip install {package}") from None


def _check_lengths(subjects: Sequence[str]) -> None:
    """Raise `DefinitionError` if a subject is too long for a broker."""
    for subject in subjects:
        if len(subject) > LONGEST_SUBJECT:
            raise DefinitionError(
                f"expected at most {LONGEST_SUBJECT} characters of prefix and name, found {len(subject):,}: "
                f"{subject:.60}...; give a shorter NAME"
            )


def _named(given: object, option: str) -> list[Named]:
    """Return the members of a list of messages; raises `DefinitionError` for anything else."""
    found = listed(given)
    if found is None:
        raise DefinitionError(
            f"expected a list of classes of messages, or of names, for {option}=, found {as_given(given)}; "
            f"write {option}=[...]"
        )
    return found


def _seconds(given: object, option: str) -> float:
    seconds = seconds_of(given)
    if not 0 < seconds < LONGEST:
        raise DefinitionError(f"expected seconds or a timedelta, over 0, for {option}=, found {as_given(given)}")
    return seconds


def _is_like(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _pairs(one: Named) -> list[tuple[str, str]]:
    """Return the kinds and names that a message class or a name stands for."""
    if isinstance(one, str):
        name, kinds = one, ["command", "event"]
    elif isinstance(cast(object, one), type) and issubclass(one, Event | Command):
        name, kinds = name_of(one), ["command" if issubclass(one, Command) else "event"]
    else:
        raise DefinitionError(f"expected a class of events or commands, or a name, found {as_given(one)}")
    if not _A_WORD.fullmatch(name):
        raise DefinitionError(f"expected a name of letters, digits, - and _ for a broker, found {name!r}: give NAME")
    return [(kind, name) for kind in kinds]
