"""What may be shown of the address of a database or a broker: where it is, without any secret.

What is shown is composed of parts that are known to be harmless; it is not made by cutting secrets out. In a malformed
address nobody knows where the password ends. Nothing here opens a connection or raises.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from sagalog.harmless import harmless

LONGEST: Final = 200
# No valid address is this long, so longer texts are not parsed.
LONGEST_ADDRESS: Final = 4_000
HIDDEN: Final = "***"

# The settings of libpq and options of brokers that say where something is, or how it is reached.
PLACES: Final = ("host", "hostaddr", "port", "dbname")
HARMLESS: Final = frozenset(
    (
        *PLACES,
        *("user", "service", "application_name", "client_encoding", "connect_timeout", "target_session_attrs"),
        *("sslmode", "gssencmode", "channel_binding", "load_balance_hosts", "keepalives", "tcp_user_timeout"),
        *("mode", "cache", "immutable", "heartbeat", "timeout"),
    )
)
# SQLAlchemy's suffix for the driver; the rest is an address for libpq.
DRIVERS: Final = ("psycopg", "psycopg_async", "psycopg2", "asyncpg")
SQLITE_DRIVERS: Final = ("pysqlite", "aiosqlite")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://(.*)", re.DOTALL)
_SERVER = r"(?:[a-z]{2,10}://)?(?:\[[\w:.%]{2,60}\]|[\w.-]{1,260}|(?:%2[Ff][\w.-]*)+)?(?::\d{1,5})?"
_PLACE = re.compile(rf"{_SERVER}(?:,{_SERVER})*(?:/[\w.$+-]{{0,63}})?")
_VALUE = re.compile(r"[\w./:,\[\]-]{1,255}")
# libpq's own grammar: key = value, quoted or not, with a backslash as escape character.
_PAIR = re.compile(r"\s*([^=\s]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(?!')((?:[^\s\\]|\\.)*))", re.DOTALL)
_BACKSLASH = re.compile(r"\\(.)", re.DOTALL)
_WORD = re.compile(r"\S+")
# What precedes a secret in the address of a server, and may also occur in the path of a file.
_NO_PATH = re.compile(r"[@?;]|&\w*=")
# A user with a password, or an option; the drive letter of a Windows path is neither.
_NO_FILE = re.compile(r"(?<!^[A-Za-z]):.*@|[;&]\w*=", re.DOTALL)
_OPTION = re.compile(r"--[\w-]+=(.*)", re.DOTALL)
_SECRET_SETTING = re.compile(
    r"((?:password|passwd|pwd|passfile|secret|token)\w{0,20}\s{0,5}=\s{0,5})"
    r"('(?:[^'\\]|\\.)*+'?|\"(?:[^\"\\]|\\.)*+\"?|[^\s&]+)",
    re.IGNORECASE | re.DOTALL,
)


def shown(address: str) -> str:
    """Return an address in a form that may be shown: without user, password and options, and of limited length."""
    if len(address) > LONGEST_ADDRESS:
        return f"{len(address):,} characters"
    address = _bare(address)
    url = _URL.match(address)
    if url is not None:
        return _url_shown(url[1].lower(), url[2])
    pairs = _pairs(address)
    if pairs:
        places = [f"{name}={value}" for name, value in pairs if name in PLACES and _VALUE.fullmatch(value)]
        return harmless(" ".join([*places, "..."]), LONGEST)
    if any(letter in address.removeprefix("sqlite:") for letter in ":@=;?"):
        return "something else"
    return repr(harmless(address, LONGEST))


def is_open(address: str) -> bool:
    """Tell whether an address may be shown unchanged: it has no part that could hold a secret."""
    address = _bare(address)
    url = _URL.match(address)
    if url is None:
        return not any(letter in address for letter in "@=;?")
    if url[1].lower().startswith("sqlite"):
        return _NO_PATH.search(url[2]) is None
    # A user's name is no secret, but for some brokers a token is in its place.
    place = re.sub(r"^[\w.-]{1,63}@", "", url[2]) if url[1].startswith("postgres") else url[2]
    return len(address) <= LONGEST_ADDRESS and _PLACE.fullmatch(place) is not None


def secrets_of(address: str) -> list[str]:
    """Return everything in an address that could be a secret, both as written and decoded."""
    if is_open(address):
        return []
    given, address = address, _bare(address)
    url = _URL.match(address) if len(address) <= LONGEST_ADDRESS else None
    if url is not None:
        return _each_way([given, address, *_secrets_of_url(url[1].lower(), url[2])])
    pairs = _pairs(address) if len(address) <= LONGEST_ADDRESS else None
    return _each_way([given, address, *(value for name, value in pairs or () if name not in HARMLESS)])


def secrets_in(words: Iterable[str]) -> Iterator[str]:
    """Yield possible secrets among the words of a command line; of words that look like an address, all of them."""
    for word in words:
        option = _OPTION.fullmatch(word)
        address = word.lstrip("-") if option is None else option[1]
        looks = "://" in word or ("@" in word and ":" in word) or _SECRET_SETTING.search(word) is not None
        if looks and not is_open(address):
            yield from (word, repr(word)[1:-1], repr(address)[1:-1], *secrets_of(address))


def hosts_of(address: str) -> list[str]:
    """Return the hosts in a URL; several may be separated by commas."""
    servers = address.partition("://")[2].partition("?")[0].split(",")
    places = (server.rpartition("://")[2].rpartition("@")[2].partition("/")[0] for server in servers)
    return [place if place.startswith("[") else place.partition(":")[0] for place in places]


def impossible_host(hosts: Iterable[str]) -> str | None:
    """Return the first host that cannot exist, in a form that may be shown; looking such a host up would raise."""
    for host in hosts:
        try:
            host.encode("idna")
        except UnicodeError:
            return harmless(host, 80)
    return None


def taken_from_another(path: str) -> bool:
    """Tell whether a path has parts that only a server's address has: a user with a password, or an option."""
    return _NO_FILE.search(path) is not None


def misplaced(address: str) -> tuple[str, str] | None:
    """Return the first part of a URL that holds a reserved letter, and that letter; None if there is none.

    Without the question mark before them, for instance, the options become part of the database's or the user's name.
    """
    server = address.partition("://")[2].partition("?")[0]
    user, _, place = server.rpartition("@")
    host, _, database = place.partition("/")
    for part, text in (("user", user.partition(":")[0]), ("host", host), ("database", database)):
        for letter in "&;#=":
            if letter in text:
                return part, letter
    return None


def cut(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets; a short secret is only removed where it is a word of its own."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, HIDDEN)
        elif len(secret) >= 3:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text


def masked(text: str) -> str:
    """Return foreign text without the secrets in anything that looks like an address or a secret setting."""
    return _SECRET_SETTING.sub(rf"\1{HIDDEN}", _WORD.sub(_without_user, text))


def as_meant(address: str) -> str:
    """Return an address without white space around it, and with its scheme in lower case.

    A value from a file often ends with a line end. SQLAlchemy's name of a driver is removed as well:
    `postgresql+psycopg://` becomes `postgresql://`.
    """
    scheme, colon, rest = _bare(address).partition(":")
    database, plus, driver = scheme.lower().partition("+")
    known = {"postgresql": DRIVERS, "postgres": DRIVERS, "sqlite": SQLITE_DRIVERS}.get(database, ())
    if plus and driver in known:
        return f"{database}{colon}{rest}"
    return f"{scheme.lower() if rest.startswith('//') else scheme}{colon}{rest}"


def _bare(address: str) -> str:
    return address.strip().removeprefix("\ufeff").strip()


def _without_user(word: re.Match[str]) -> str:
    before, found, rest = word[0].partition("://")
    _, at, place = rest.rpartition("@")
    return f"{before}{found}{HIDDEN}@{place}" if at else word[0]


def _url_shown(scheme: str, rest: str) -> str:
    if scheme.startswith("sqlite"):
        # A path holds no secret, unless part of another address was pasted into it.
        path = rest.partition("?")[0]
        return f"{scheme}://..." if _NO_PATH.search(path) is not None else harmless(f"{scheme}://{path}", LONGEST)
    before, _, options = rest.partition("?")
    place = before.rpartition("@")[2]
    # An @ after the question mark: that question mark may belong to the password.
    if "@" in options or len(place) > 2 * LONGEST or _PLACE.fullmatch(place) is None:
        return f"{scheme}://..."
    places = [f"{name}={value}" for name, value in _options(options) if name in PLACES and _VALUE.fullmatch(value)]
    return harmless(f"{scheme}://{place}" + ("?" + "&".join(places) if places else ""), 2 * LONGEST)


def _secrets_of_url(scheme: str, rest: str) -> Iterator[str]:
    user, at, _ = rest.rpartition("@")
    if at:
        password = user if scheme in ("nats", "tls") else user.partition(":")[2]
        yield password
        # Errors that split at the wrong @ or / repeat a piece of the password, so the pieces count as secrets, too.
        yield from (piece for piece in re.split(r"[@/?#:]", password))
    for name, value in _options(rest.partition("?")[2]):
        if name not in HARMLESS:
            yield value


def _options(text: str) -> Iterator[tuple[str, str]]:
    for option in text.split("&"):
        name, _, value = option.partition("=")
        yield unquote(name).lower(), value


def _pairs(text: str) -> list[tuple[str, str]] | None:
    """Return the settings in a connection string of libpq; None if it cannot be parsed."""
    found: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        pair = _PAIR.match(text, position)
        if pair is None:
            return None
        value = pair[2] if pair[2] is not None else pair[3]
        found.append((pair[1].lower(), _BACKSLASH.sub(r"\1", value)))
        position = pair.end()
    return found


def _each_way(written: Iterable[str]) -> list[str]:
    every = {way for secret in written for way in (secret, unquote(secret))}
    return sorted(secret for secret in every if secret)
