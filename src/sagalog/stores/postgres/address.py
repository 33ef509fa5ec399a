"""Reads a PostgreSQL address as libpq does, and checks it before any connection is made.

libpq checks most values only when it connects, and then reports a mistake as if the server were away. So an address
that can never work is refused at once. The error repeats nothing of it: a part that looks like an option may be a
secret.
"""

import math
import os
import re
import socket
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sagalog.address import LONGEST, impossible_host, misplaced
from sagalog.errors import InvalidSettings
from sagalog.harmless import harmless

EXPECTED: Final = "expected an address such as postgresql://user:password@host:5432/database, found"
_ESCAPE: Final = "a special character in the password is written as %XX, an @ as %40"
_OPTIONS: Final = frozenset(one.keyword.decode() for one in psycopg.pq.Conninfo.get_defaults())

_WORDS: Final = {
    "channel_binding": "disable, prefer or require",
    "gssencmode": "disable, prefer or require",
    "load_balance_hosts": "disable or random",
    "sslcertmode": "disable, allow or require",
    "sslmode": "disable, allow, prefer, require, verify-ca or verify-full",
    "sslnegotiation": "postgres or direct",
    "target_session_attrs": "any, read-write, read-only, primary, standby or prefer-standby",
}
_WHOLE: Final = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
_LARGEST: Final = 2_147_483_647
# An address without a server: libpq checks all other values before it fails to connect there.
_NOWHERE: Final = "/no/server/of/sagalog"
# Parts of error texts that concern the address itself: from libpq after its first step, or from a server on options.
_OF_THE_ADDRESS = re.compile(r"invalid integer value|setsockopt\(|invalid port number|could not (?:parse|match) ")
_OF_ITS_OPTIONS = re.compile(
    r"unrecognized configuration parameter|invalid value for parameter|requires a value|invalid command-line argument"
    r"|cannot be (?:changed|set)|permission denied to set parameter"
)

# Options that libpq passes to the server unchecked.
_VARIABLES: Final = ("PGOPTIONS", "PGTZ", "PGDATESTYLE", "PGGEQO")


def read_address(address: str) -> dict[str, Any]:
    """Return the settings in an address; raises `InvalidSettings` without repeating any part of it.

    Anything malformed is refused first. In a password, libpq would take text after an @, a / or a ? for the host, the
    port, the database or the user, and every later error would show it.
    """
    if (found := misplaced(address)) is not None:
        part, letter = found
        raise InvalidSettings(
            f"{EXPECTED} one whose {part} has {letter!r} in it; options stand behind a ?, as in ?sslmode=require, "
            f"and the letter itself is written {quote(letter)}"
        )
    try:
        given: dict[str, Any] = dict(conninfo_to_dict(address))
    except (psycopg.Error, ValueError):
        raise InvalidSettings(f"{EXPECTED} something that cannot be read; {_advice(address)}") from None
    if re.fullmatch(r"[\d, ]*", str(given.get("port", "")), re.ASCII) is None:
        raise InvalidSettings(f"{EXPECTED} one whose port is no number; {_ESCAPE}")
    # An @, / or ? written as %XX is meant; one written as itself shows where libpq has split the text wrongly.
    for setting, letter in (("host", "@"), ("dbname", "@"), ("user", "@"), ("user", "?")):
        is_meant = "://" not in address or quote(letter).lower() in address.lower()
        if letter in str(given.get(setting, "")) and not is_meant:
            raise InvalidSettings(f"{EXPECTED} one whose {setting} has {letter!r} in it; {_ESCAPE}")
    impossible = impossible_host(
        host for host in str(given.get("host", "")).split(",") if not host.startswith(("/", "@"))
    )
    if impossible is not None:
        raise InvalidSettings(
            f"{EXPECTED} the host {impossible}, which no machine can have: between two dots are 1 to 63 letters"
        )
    mistake = next(_mistakes(given), None)
    if mistake is not None:
        raise InvalidSettings(f"{EXPECTED} {mistake}")
    return given


def where_of(given: dict[str, Any]) -> str:
    """Return where a database is, in words without a secret."""
    database = given.get("dbname", "")
    if "service" in given and "host" not in given:
        return harmless(f"postgresql:///{database}?service={given['service']}", LONGEST)
    host = given.get("host", given.get("hostaddr", "localhost"))
    return harmless(f"postgresql://{host}:{given.get('port', 5432)}/{database}", LONGEST)


def refused_for_good(problem: psycopg.OperationalError, given: dict[str, Any], where: str) -> InvalidSettings | None:
    """Return the error for an address that libpq or its server will never accept; None for any other problem."""
    text = str(problem)
    said = _OF_THE_ADDRESS.search(text)
    if said is not None:
        name = _option_in(text[said.start() :]) or "one of its options (keepalives_idle, ...)"
        return InvalidSettings(f"{where} cannot be connected to: {name} has a value that libpq does not take")
    if _OF_ITS_OPTIONS.search(text) is not None and (given.get("options") or any(map(os.environ.get, _VARIABLES))):
        return InvalidSettings(
            f"{where} does not take its options: expected settings that the server has, such as "
            f"?options=-csearch_path%3Dshop, in the address or in {', '.join(_VARIABLES)}"
        )
    return None


def _advice(address: str) -> str:
    """Return advice about an address that libpq cannot read: perhaps only one of its options is wrong."""
    for option in address.partition("?")[2].split("&"):
        name, _, value = option.partition("=")
        if name in _OPTIONS and "=" in value and "@" not in value:
            return f"the = within the value of {name} is written %3D"
        close = [] if name in _OPTIONS or "@" in option else get_close_matches(name.lower(), _OPTIONS, 1)
        if close:
            return f"one of its options is none of libpq's; is {close[0]} meant?"
    return f"{_ESCAPE}, and options are those of libpq"


def _mistakes(given: dict[str, Any]) -> Iterator[str]:
    """Yield mistakes that no server and no libpq accept, most of them found by asking libpq."""
    hosts, addresses, ports = (str(given.get(name, "")).split(",") for name in ("host", "hostaddr", "port"))
    if not all(_is_whole(one, 65_535, least=1) for one in ports if one.strip()):
        yield f"one whose port is none from 1 to 65535; {_ESCAPE}"
    if len(ports) > 1 and len(ports) != max(len(hosts), len(addresses)):
        yield "one with another number of ports than of hosts; write one port for all of them, or one behind each"
    if given.get("host") and given.get("hostaddr") and len(hosts) != len(addresses):
        yield "one with another number of hosts than of hostaddr; write as many"
    if not all(map(_is_numeric, filter(None, addresses))):
        yield "one whose hostaddr is no address such as 192.0.2.7; write a name as the host"
    if not _is_number(given.get("connect_timeout", 0)):
        yield "one whose connect_timeout is no number; write seconds, such as 10"
    for name in _WHOLE:
        if name in given and not _is_whole(given[name], _LARGEST):
            yield f"one whose {name} is none from 0 to {_LARGEST:,}; write a whole number, or leave it out"
    if str(given.get("replication", "off")).lower() not in ("off", "false", "no", "0"):
        yield "one for replication, on which no statement can be run; leave replication out"
    yield from _mistakes_by_libpq(given, max(len(hosts), len(addresses)))


def _mistakes_by_libpq(given: dict[str, Any], hosts: int) -> Iterator[str]:
    """Yield what libpq rejects in the other values, given its version and environment.

    Nothing is sent: it is told to connect to a socket that does not exist, and checks the values before.
    """
    instead = {"host": ",".join([_NOWHERE] * hosts), "hostaddr": "", "port": "", "password": "-"}
    asked = psycopg.pq.PGconn.connect_start(make_conninfo(**given | instead).encode())
    try:
        text = asked.error_message.decode("utf-8", "replace") if asked.status == psycopg.pq.ConnStatus.BAD else ""
    finally:
        asked.finish()
    if text and _NOWHERE not in text and "socket" not in text.lower():
        yield _in_words(text, given)


def _in_words(text: str, given: dict[str, Any]) -> str:
    """Return what libpq rejects, named only by the option or by the environment variable for it."""
    name = _option_in(text)
    if "weak sslmode" in text:
        return "one whose other options ask for more than its sslmode; write sslmode=verify-full"
    if name is None:
        return "one with an option, or used with a variable PG..., whose value libpq does not take; see its manual"
    if name == "service":
        instead = "add it to pg_service.conf, or name the one that is meant"
    else:
        instead = f"write {_WORDS[name]}" if name in _WORDS else "see its manual for what may stand there"
    variable = f"one that is used with the variable PG{name.upper().replace('_', '')}, which"
    return f"{f'one whose {name}' if name in given else variable} is none that libpq takes; {instead}"


def _option_in(text: str) -> str | None:
    """Return the option that an error of libpq is about; None if it names none."""
    return next((word for word in re.findall(r"[a-z_]+", text.lower()) if word in _OPTIONS), None)


def _is_whole(given: object, most: int, least: int = 0) -> bool:
    text = str(given).strip()
    return re.fullmatch(r"\d{1,10}", text, re.ASCII) is not None and least <= int(text) <= most


def _is_number(given: object) -> bool:
    try:
        return math.isfinite(float(str(given)))
    except ValueError:
        return False


def _is_numeric(host: str) -> bool:
    resolve: Callable[..., object] = socket.getaddrinfo
    try:
        resolve(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True
