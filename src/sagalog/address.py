"""What may be shown of the address of a database or a broker: where it is, and nothing that lets somebody in.

What is shown is put together from parts that are known to be harmless; nothing is cut out of the rest. An address may
be written wrongly, and then nobody knows where in it the password ends. It opens nothing and never raises.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from sagalog.harmless import harmless

LONGEST: Final = 200
# No database and no broker has an address as long as this, so none that is longer is taken apart.
LONGEST_ADDRESS: Final = 4_000
HIDDEN: Final = "***"

# Of the settings of libpq and the options of brokers those that say where something is, or how it is talked to.
PLACES: Final = ("host", "hostaddr", "port", "dbname")
HARMLESS: Final = frozenset(
    (
        *PLACES,
        *("user", "service", "application_name", "client_encoding", "connect_timeout", "target_session_attrs"),
        *("sslmode", "gssencmode", "channel_binding", "load_balance_hosts", "keepalives", "tcp_user_timeout"),
        *("mode", "cache", "immutable", "heartbeat", "timeout"),
    )
)
# What SQLAlchemy writes behind the database to say which driver it uses; it is libpq's address all the same.
DRIVERS: Final = ("psycopg", "psycopg_async", "psycopg2", "asyncpg")
SQLITE_DRIVERS: Final = ("pysqlite", "aiosqlite")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://(.*)", re.DOTALL)
_SERVER = r"(?:[a-z]{2,10}://)?(?:\[[\w:.%]{2,60}\]|[\w.-]{1,260}|(?:%2[Ff][\w.-]*)+)?(?::\d{1,5})?"
_PLACE = re.compile(rf"{_SERVER}(?:,{_SERVER})*(?:/[\w.$+-]{{0,63}})?")
_VALUE = re.compile(r"[\w./:,\[\]-]{1,255}")
# libpq's own grammar: key = value, quoted or not, a backslash before whatever is meant as it is.
_PAIR = re.compile(r"\s*([^=\s]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(?!')((?:[^\s\\]|\\.)*))", re.DOTALL)
_BACKSLASH = re.compile(r"\\(.)", re.DOTALL)
_WORD = re.compile(r"\S+")
# What the path of a file may have, and the address of a server has before a secret.
_NO_PATH = re.compile(r"[@?;]|&\w*=")
# A user and a password, or an option; the drive of a path of Windows is none.
_NO_FILE = re.compile(r"(?<!^[A-Za-z]):.*@|[;&]\w*=", re.DOTALL)
_OPTION = re.compile(r"--[\w-]+=(.*)", re.DOTALL)
_SECRET_SETTING = re.compile(
    r"((?:password|passwd|pwd|passfile|secret|token)\w{0,20}\s{0,5}=\s{0,5})"
    r"('(?:[^'\\]|\\.)*+'?|\"(?:[^\"\\]|\\.)*+\"?|[^\s&]+)",
    re.IGNORECASE | re.DOTALL,
)


def shown(address: str) -> str:
    """Return an address as it may be shown: without user, password and options, and never longer than a line or two."""
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
    """Tell whether an address may be repeated letter by letter: it has no part that could hold a secret."""
    address = _bare(address)
    url = _URL.match(address)
    if url is None:
        return not any(letter in address for letter in "@=;?")
    if url[1].lower().startswith("sqlite"):
        return _NO_PATH.search(url[2]) is None
    # A user's name is no secret; of some brokers what stands there is a token.
    place = re.sub(r"^[\w.-]{1,63}@", "", url[2]) if url[1].startswith("postgres") else url[2]
    return len(address) <= LONGEST_ADDRESS and _PLACE.fullmatch(place) is not None


def secrets_of(address: str) -> list[str]:
    """Return everything in an address that could be a secret, as it is written and as it is meant."""
    if is_open(address):
        return []
    given, address = address, _bare(address)
    url = _URL.match(address) if len(address) <= LONGEST_ADDRESS else None
    if url is not None:
        return _each_way([given, address, *_secrets_of_url(url[1].lower(), url[2])])
    pairs = _pairs(address) if len(address) <= LONGEST_ADDRESS else None
    return _each_way([given, address, *(value for name, value in pairs or () if name not in HARMLESS)])


def secrets_in(words: Iterable[str]) -> Iterator[str]:
    """Yield what could be a secret in the words of a command line: of those that look like an address, all of them."""
    for word in words:
        option = _OPTION.fullmatch(word)
        address = word.lstrip("-") if option is None else option[1]
        looks = "://" in word or ("@" in word and ":" in word) or _SECRET_SETTING.search(word) is not None
        if looks and not is_open(address):
            yield from (word, repr(word)[1:-1], repr(address)[1:-1], *secrets_of(address))


def hosts_of(address: str) -> list[str]:
    """Return the hosts that a URL names, of one server or of several behind commas."""
    servers = address.partition("://")[2].partition("?")[0].split(",")
    places = (server.rpartition("://")[2].rpartition("@")[2].partition("/")[0] for server in servers)
    return [place if place.startswith("[") else place.partition(":")[0] for place in places]


def impossible_host(hosts: Iterable[str]) -> str | None:
    """Return the first host that no machine can have, as it may be shown; asking the network for it would raise."""
    for host in hosts:
        try:
            host.encode("idna")
        except UnicodeError:
            return harmless(host, 80)
    return None


def taken_from_another(path: str) -> bool:
    """Tell whether a path has what only the address of a server has: a user with a password, or an option."""
    return _NO_FILE.search(path) is not None


def misplaced(address: str) -> tuple[str, str] | None:
    """Return the first part of a URL with a letter in it that begins something else, and the letter.

    Whoever forgets the question mark before the options gets them taken for the name of the database, or of the user.
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
    """Return a text without these secrets; a short one is only cut out where it stands alone, not out of words."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, HIDDEN)
        elif len(secret) >= 3:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text


def masked(text: str) -> str:
    """Return a text of somebody else's in which whatever looks like an address or a secret setting shows no secret."""
    return _SECRET_SETTING.sub(rf"\1{HIDDEN}", _WORD.sub(_without_user, text))


def as_meant(address: str) -> str:
    """Return an address without what says nothing: white space around it, capitals in its scheme.

    An environment variable or a file often ends with a line end. SQLAlchemy's name of a driver is left out as well:
    `postgresql+psycopg://` is `postgresql://`.
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
        # A path has no secret, but for what somebody has taken from another address.
        path = rest.partition("?")[0]
        return f"{scheme}://..." if _NO_PATH.search(path) is not None else harmless(f"{scheme}://{path}", LONGEST)
    before, _, options = rest.partition("?")
    place = before.rpartition("@")[2]
    # An @ behind the question mark: the question mark may be one of the password's.
    if "@" in options or len(place) > 2 * LONGEST or _PLACE.fullmatch(place) is None:
        return f"{scheme}://..."
    places = [f"{name}={value}" for name, value in _options(options) if name in PLACES and _VALUE.fullmatch(value)]
    return harmless(f"{scheme}://{place}" + ("?" + "&".join(places) if places else ""), 2 * LONGEST)


def _secrets_of_url(scheme: str, rest: str) -> Iterator[str]:
    user, at, _ = rest.rpartition("@")
    if at:
        password = user if scheme in ("nats", "tls") else user.partition(":")[2]
        yield password
        # Whoever takes the wrong @ or / for the end of it repeats a piece.
        yield from (piece for piece in re.split(r"[@/?#:]", password))
    for name, value in _options(rest.partition("?")[2]):
        if name not in HARMLESS:
            yield value


def _options(text: str) -> Iterator[tuple[str, str]]:
    for option in text.split("&"):
        name, _, value = option.partition("=")
        yield unquote(name).lower(), value


def _pairs(text: str) -> list[tuple[str, str]] | None:
    """Return the settings of a connection string of libpq; None if it cannot be read as one."""
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
