"""No secret of an address is shown, however the address is written and whatever goes wrong with it."""

import asyncio
import logging
import os
import re
import socket
import subprocess
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from pages.command_line import ROOT, Ran, program, sagalog

from sagalog.address import is_open, secrets_of, shown
from sagalog.errors import DefinitionError, InvalidSettings, SagalogError, StoreUnavailable
from sagalog.process_manager import ProcessManager
from sagalog.store import StoreOptions
from sagalog.stores import store_for
from sagalog.transport import Incoming, Receipt
from sagalog.transports.faststream import FastStreamTransport

# What must not be seen, in pieces: of a password with an @ in it each half is enough to guess the rest.
PIECES = ("Kq7wZ4x", "vB9xT2y")
WHERE = "127.0.0.1:1"


def forms(where: str) -> dict[str, str]:
    """Return every way that an address with a secret has been seen written, well and wrongly; nobody listens there."""
    one, two = PIECES
    host, port = where.split(":")
    found = {
        "in a URL": f"postgresql://ada:{one}@{where}/shop",
        "postgres": f"postgres://ada:{one}@{where}/shop",
        "no database": f"postgresql://ada:{one}@{where}",
        "as a parameter": f"postgresql://ada@{where}/shop?password={one}",
        "as a parameter among others": f"postgresql://{where}/shop?user=ada&password={one}&sslmode=prefer",
        "percent-encoded": f"postgresql://ada:{one}%40{two}%2F@{where}/shop",
        "percent-encoded parameter": f"postgresql://ada@{where}/shop?pass%77ord={one}%40{two}",
        "several hosts": f"postgresql://ada:{one}@{where},{host}:2/shop",
        "a socket": f"postgresql://ada:{one}@%2Fnowhere/shop",
        "a socket as a parameter": f"postgresql:///shop?host=/nowhere&user=ada&password={one}",
        "the key's": f"postgresql://ada@{where}/shop?sslpassword={one}",
        "a file of passwords": f"postgresql://ada@{where}/shop?passfile=/nowhere/{one}",
        "a service": f"postgresql://ada:{one}@{where}/shop?service={'nobody'}",
        "an option that is none": f"postgresql://ada@{where}/shop?pasword={one}",
        "SQLAlchemy's": f"postgresql+psycopg://ada:{one}@{where}/shop",
        "another driver": f"postgresql+pg8000://ada:{one}@{where}/shop",
        "another scheme": f"mysql://ada:{one}@{where}/shop",
        "a broker's": f"nats://{one}@{where}",
        "several of a broker": f"nats://ada:{one}@{where},nats://ada:{two}@{where}",
        "upper case": f"POSTGRESQL://ada:{one}@{where}/shop",
        "one slash": f"postgresql:/ada:{one}@{where}/shop",
        "no scheme": f"ada:{one}@{where}/shop",
        "settings": f"host={host} port={port} user=ada password={one} dbname=shop",
        "quoted settings": f"host={host} password='{one} \\' host={two}' dbname=shop",
        "settings that cannot be read": f"host={host} password={one} {two} dbname=shop",
        "settings that look like a file": f"host={host} password={one}.db",
        "sealed SQLite": f"sqlite+pysqlcipher://:{one}@/shop.db?cipher={two}",
        "SQLite with a key": f"sqlite:///shop.db?key={one}",
        "no server": f"postgresql://ada:{one}{two}",
        "a parameter behind an &": f"postgresql://{where}/shop&password={one}",
        "a parameter behind a ;": f"postgresql://{where}/shop;password={one}",
        "a parameter of no name": f"postgresql://{where}/shop;{one}",
        "behind a #": f"postgresql://{where}/shop#{one}",
        "behind a # of two": f"postgresql://{where}/shop#{one}#{two}",
        "a parameter in the user": f"postgresql://ada;password={one}@{where}/shop",
        "a parameter in the host": f"postgresql://{where.partition(':')[0]}&password={one}/shop",
        "a blank before it": f" postgresql://ada:{one}@{where}/shop",
        "a line end behind it": f"postgresql://ada:{one}@{where}/shop\n",
        "SQLite with a user": f"sqlite:///ada:{one}@nowhere/shop.db",
        "SQLite with a user and a host": f"sqlite:////nowhere/ada:{one}@{where}/shop.db",
        "SQLite with a parameter": f"sqlite:///nowhere/shop.db;password={one}",
        "SQLite behind an &": f"sqlite:///nowhere/shop.db&key={one}",
    }
    return found | with_letters(where)


def with_letters(where: str) -> dict[str, str]:
    """Return addresses whose secret holds a letter that begins something else."""
    one, two = PIECES
    found: dict[str, str] = {}
    for name, letter in (("an @", "@"), ("a /", "/"), ("a :", ":"), ("a ?", "?"), ("a #", "#"), ("a space", " ")):
        found[f"{name} in it"] = f"postgresql://ada:{one}{letter}{two}@{where}/shop"
        found[f"{name} at its end"] = f"postgresql://ada:{one}{letter}@{where}/shop"
        found[f"{name} in a parameter"] = f"postgresql://ada@{where}/shop?password={one}{letter}{two}"
        found[f"{name} behind a number"] = f"postgresql://ada:12{letter}{one}@{where}/shop"
        found[f"{name} in a broker's"] = f"amqp://ada:{one}{letter}{two}@{where}/shop"
    return found


FORMS = forms(WHERE)
COMMANDS = (
    *("list", "show x", "history x", "replay x", "export x", "export --all", "wait x", "audit", "run", "demo"),
    *("db status", "db upgrade", "db consumers", "db sql", "unmatched list", "unmatched show x"),
    *("unmatched discard x --reason y", "start order-fulfilment --input -", "check --no-log"),
)
BOUNDS = {"SAGALOG_CONNECT_TIMEOUT": "0.2", "SAGALOG_STATEMENT_TIMEOUT": "0.5", "SHOP_DB": ":memory:"}


def expect_no_secret(text: str) -> None:
    for piece in PIECES:
        assert piece not in text
        assert piece[:-1] not in text


def refused(ran: Ran) -> None:
    assert ran.code in (1, 2, 3, 5), ran
    expect_no_secret(ran.out + ran.err)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    # None of them is the name of a file.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_no_error_of_the_command_line_shows_a_secret(form: str) -> None:
    address = FORMS[form]
    for command in COMMANDS:
        ran = sagalog("--app-dir", str(ROOT), "--db", address, *command.split(), environment=BOUNDS)
        if command != "db sql":
            refused(ran)
        expect_no_secret(ran.out + ran.err)
    from_environment = sagalog("--app-dir", str(ROOT), "list", environment={**BOUNDS, "SAGALOG_DB": address})
    refused(from_environment)


@pytest.mark.parametrize("form", FORMS)
def test_no_traceback_shows_a_secret(form: str) -> None:
    for command in ("list", "db upgrade", "start order-fulfilment --input -", "demo"):
        words = ["--debug", "--app-dir", str(ROOT), "--db", FORMS[form], *command.split()]
        ran = sagalog(*words, environment=BOUNDS)
        refused(ran)
        assert "Traceback" in ran.err


@pytest.mark.parametrize("words", ["check --no-log", "graph x", "--debug graph x"])
@pytest.mark.parametrize("form", FORMS)
def test_an_app_that_repeats_the_address_shows_no_secret(
    form: str, words: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What it raises is somebody else's text, shown as a finding, as an error, and with its traceback."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "careless.py").write_text(
        "import os\nraise RuntimeError('cannot use ' + os.environ['SAGALOG_DB'])\n", encoding="utf-8"
    )
    ran = sagalog(
        "--app-dir", str(folder), "--app", "careless", *words.split(), environment={**BOUNDS, "SAGALOG_DB": FORMS[form]}
    )
    refused(ran)
    assert "cannot use" in ran.out + ran.err
    assert ("Traceback" in ran.err) == ("--debug" in words)


def test_an_app_that_repeats_an_address_of_its_own_shows_no_secret(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("app")
    (folder / "careful.py").write_text(f"raise RuntimeError('cannot use {FORMS['in a URL']}')\n", encoding="utf-8")
    for words in ("check", "graph x", "--debug graph x"):
        ran = sagalog("--app-dir", str(folder), "--app", "careful", *words.split())
        refused(ran)
        assert f"cannot use postgresql://***@{WHERE}/shop" in ran.out + ran.err


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "words", ["list {}", "show x {}", "--app {} list", "--{} list", "list --limit {}", "{}", "list --status {}"]
)
def test_an_address_in_the_wrong_place_of_a_command_line_is_not_repeated(form: str, words: str) -> None:
    ran = sagalog(*(word.replace("{}", FORMS[form]) for word in words.split()), environment=BOUNDS)
    refused(ran)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_built_on_an_address_does_not_show_its_secret(form: str) -> None:
    try:
        for built in (store_for(FORMS[form]), ProcessManager(FORMS[form])):
            expect_no_secret(f"{built!r} {built}")
    except SagalogError as problem:
        expect_no_secret(f"{problem!r} {problem} {problem.__cause__!r}")
        expect_no_secret("".join(traceback.format_exception(problem)))


@pytest.mark.parametrize("form", FORMS)
def test_what_cannot_be_opened_does_not_show_its_secret_to_a_service(form: str) -> None:
    """The command line cuts once more what the store has cut; a service shows what the store says."""

    def opened(address: str) -> None:
        store = store_for(address, StoreOptions(connect_timeout=1, statement_timeout=1))
        expect_no_secret(repr(store))
        try:
            store.open()
        finally:
            store.close()

    with pytest.raises(SagalogError) as caught:
        opened(FORMS[form])
    expect_no_secret("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("form", FORMS)
def test_an_address_is_shown_without_its_secret_and_repeated_only_if_it_has_none(form: str) -> None:
    expect_no_secret(shown(FORMS[form]))
    assert not is_open(FORMS[form])
    assert FORMS[form] in secrets_of(FORMS[form])


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("postgresql://ada@db.example.org:5433/shop", "postgresql://db.example.org:5433/shop"),
        ("postgresql://[2001:db8::1]/shop", "postgresql://[2001:db8::1]/shop"),
        ("postgresql://one:1,two:2/shop?target_session_attrs=primary", "postgresql://one:1,two:2/shop"),
        ("postgresql:///shop?host=/run/postgresql", "postgresql:///shop?host=/run/postgresql"),
        ("host=db dbname=shop password='a b'", "host=db dbname=shop ..."),
        ("sqlite:////var/lib/shop.db", "sqlite:////var/lib/shop.db"),
        ("nats://one:4222,nats://two:4222", "nats://one:4222,nats://two:4222"),
        ("kafka://one:9092,two:9092", "kafka://one:9092,two:9092"),
        ("amqp://guest:guest@rabbit/orders", "amqp://rabbit/orders"),
    ],
)
def test_where_it_is_can_be_seen(address: str, text: str) -> None:
    assert shown(address) == text


@pytest.mark.parametrize(
    "address", ["sqlite:///shop.db", "shop.db", "postgresql://ada@db:5432/shop", "postgresql:///shop"]
)
def test_an_address_without_a_secret_is_repeated(address: str) -> None:
    assert is_open(address)
    assert secrets_of(address) == []


@pytest.mark.parametrize(
    "long", ["postgresql://ada:{}@h/shop", "sqlite:///{}", "{}", "{}.db", "a://" * 3 + "{}", "host={}"]
)
def test_an_address_of_a_megabyte_is_not_repeated(long: str) -> None:
    address = long.replace("{}", "Kq7wZ4x" * 150_000)
    assert len(shown(address)) < 500
    with pytest.raises(SagalogError) as caught:
        store_for(address)
    assert len(str(caught.value)) < 1_000
    # No operating system passes such a word on, but a test can.
    for words in (["--db", address, "list"], ["list", address], ["show", address], ["--app", address, "list"]):
        ran = sagalog(*words, environment={"SAGALOG_DB": "sqlite:///nowhere.db"})
        assert (ran.code > 0, len(ran.err) < 2_500) == (True, True)


class Babbler:
    """A server that asks for the password and repeats it in its refusal, as no server should."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.where = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        first = connection.recv(10_000)
        while int.from_bytes(first[4:8]) in (80877103, 80877104):
            connection.sendall(b"N")
            first = connection.recv(10_000)
        connection.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")
        password = connection.recv(10_000)[5:].rstrip(b"\x00")
        text = b'SFATAL\x00C28P01\x00Mno, "' + password + b'" is not \x1b[31m the password\x00\x00'
        connection.sendall(b"E" + (len(text) + 4).to_bytes(4) + text)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def babbler() -> Iterator[Babbler]:
    server = Babbler()
    yield server
    server.close()


@pytest.mark.parametrize(
    "form", ["in a URL", "as a parameter", "percent-encoded", "percent-encoded parameter", "a : in it"]
)
def test_a_server_that_repeats_the_password_is_not_believed_with_it(babbler: Babbler, form: str) -> None:
    address = forms(babbler.where)[form]
    ran = sagalog("--db", address, "list", environment=BOUNDS)
    refused(ran)
    assert 'no, "***" is not' in ran.err
    assert "\x1b" not in ran.err
    debugged = sagalog("--debug", "--db", address, "db", "upgrade", environment=BOUNDS)
    refused(debugged)


@pytest.mark.parametrize(
    "form", ["in a URL", "as a parameter", "percent-encoded", "percent-encoded parameter", "a : in it"]
)
def test_nor_is_it_believed_by_a_service_that_opens_a_store(babbler: Babbler, form: str) -> None:
    """The command line cuts once more what the store has cut; a service shows what the store says."""
    store = store_for(forms(babbler.where)[form], StoreOptions(connect_timeout=2))
    with pytest.raises(StoreUnavailable, match=r'no, "\*\*\*" is not') as caught:
        store.open()
    expect_no_secret("".join(traceback.format_exception(caught.value)))


@pytest.mark.postgres
def test_a_wrong_password_and_a_newer_schema_show_none(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    wrong = f"postgresql://{parts.username}:{PIECES[0]}@{parts.hostname}:{parts.port}{parts.path}"
    for command in ("list", "db status", "db upgrade", "check --no-log", "--debug list"):
        refused(sagalog("--app-dir", str(ROOT), "--db", wrong, *command.split(), environment=BOUNDS))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE saga_schema (number bigint, name text, applied_at bigint)")
        connection.execute("INSERT INTO saga_schema VALUES (99, 'from the future', 0)")
    secret = parts.password or ""
    assert secret
    for command in ("list", "db status", "db upgrade", "check --no-log", "--debug list"):
        ran = sagalog("--app-dir", str(ROOT), "--db", postgres_url, *command.split(), environment=BOUNDS)
        assert ran.code in (1, 5), ran
        assert secret not in ran.out + ran.err


@pytest.mark.postgres
def test_a_hint_names_the_database_and_not_how_to_get_in(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    where = f"{parts.hostname}:{parts.port}{parts.path}"
    written = (
        postgres_url,
        f"postgresql://{parts.username}@{where}?password={quote(parts.password or '')}",
        f"postgresql+psycopg://{where}?user={parts.username}&password={quote(parts.password or '')}",
    )
    for address in written:
        ran = sagalog("--db", address, "db", "status", environment=BOUNDS)
        assert (ran.code, ran.err) == (1, 'bring it up to date: sagalog --db "$SAGALOG_DB" db upgrade\n')


def test_a_worker_that_cannot_reach_its_database_logs_no_secret() -> None:
    words = program("--app-dir", str(ROOT), "--db", FORMS["in a URL"], "run", "--log-level", "debug")
    ran = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **BOUNDS, "SAGALOG_DB": ""}
    )
    assert ran.returncode == 5
    expect_no_secret(ran.stdout + ran.stderr)


@pytest.mark.parametrize("form", FORMS)
def test_a_transport_does_not_show_the_secret_of_its_broker(form: str, caplog: pytest.LogCaptureFixture) -> None:
    async def nobody(_: Incoming) -> Receipt:
        raise AssertionError("nothing can come")

    async def connect(transport: FastStreamTransport) -> None:
        await transport.open(nobody)
        async with asyncio.timeout(10):
            while not caplog.records:
                await asyncio.sleep(0.01)
        await transport.close()

    address = re.sub("^[a-z+]+:", "nats:", FORMS[form])
    try:
        transport = FastStreamTransport(address, service="orders", connect_timeout=0.2)
    except DefinitionError as problem:
        expect_no_secret(str(problem))
        return
    expect_no_secret(repr(transport))
    with caplog.at_level(logging.WARNING, "sagalog"):
        asyncio.run(connect(transport))
    assert "is not connected, trying again" in caplog.text
    expect_no_secret(caplog.text)


@pytest.mark.parametrize("scheme", ["postgresql", "nats", "amqp", "kafka"])
@pytest.mark.parametrize("host", ["a" * 64, "a..b", ".a", "db." + "x" * 64 + ".example.org", "h" * 3_000])
def test_a_host_that_no_machine_can_have_is_refused_in_words(scheme: str, host: str) -> None:
    address = f"{scheme}://ada:{PIECES[0]}@{host}:1/shop"
    with pytest.raises(
        (InvalidSettings, DefinitionError), match="which no machine can have: between two dots"
    ) as caught:
        store_for(address) if scheme == "postgresql" else FastStreamTransport(address, service="orders")
    assert len(str(caught.value)) < 500
    expect_no_secret(str(caught.value))


def test_a_host_of_the_environment_that_no_machine_can_have_is_no_traceback() -> None:
    ran = sagalog("--db", "postgresql:///shop", "list", environment={**BOUNDS, "PGHOST": "a" * 64})
    assert ran.code == 5
    assert "none that a machine can have" in ran.err
