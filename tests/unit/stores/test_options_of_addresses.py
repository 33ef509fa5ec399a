"""What can never be used of an address is refused when it is given, without its secrets; what surrounds it is not."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from pages.command_line import sagalog

from sagalog.errors import InvalidSettings, SagalogError, StoreUnavailable
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.stores import store_for
from sagalog.stores.postgres.address import refused_for_good
from sagalog.stores.postgres.store import PostgresStore
from sagalog.stores.sqlite.store import SQLiteStore
from sagalog.transports.faststream import FastStreamTransport

EXPECTED = "expected an address such as postgresql://user:password@host:5432/database, found "
REFUSED = [
    ("connect_timeout=hunter2", "one whose connect_timeout is no number; write seconds, such as 10"),
    ("connect_timeout=", "one whose connect_timeout is no number"),
    ("connect_timeout=inf", "one whose connect_timeout is no number"),
    ("connect_timeout=nan", "one whose connect_timeout is no number"),
    ("sslmode=hunter2", "one whose sslmode is none that libpq takes; write disable, allow, prefer, require, verify-ca"),
    ("sslmode=", "one whose sslmode is none that libpq takes"),
    ("sslmode=Require", "one whose sslmode is none that libpq takes"),
    ("sslnegotiation=direct&sslmode=prefer", "one whose other options ask for more than its sslmode"),
    ("gssencmode=hunter2", "one whose gssencmode is none that libpq takes; write disable, prefer or require"),
    ("channel_binding=hunter2", "one whose channel_binding is none that libpq takes"),
    ("target_session_attrs=hunter2", "one whose target_session_attrs is none that libpq takes; write any, read-write"),
    ("load_balance_hosts=hunter2", "one whose load_balance_hosts is none that libpq takes; write disable or random"),
    ("require_auth=hunter2", "one whose require_auth is none that libpq takes; see its manual"),
    ("ssl_min_protocol_version=hunter2", "one whose ssl_min_protocol_version is none that libpq takes"),
    ("ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1", "one with an option"),
    ("service=hunter2", "one whose service is none that libpq takes; add it to pg_service.conf"),
    ("keepalives=hunter2", "one whose keepalives is none from 0 to 2,147,483,647"),
    ("keepalives_idle=-3", "one whose keepalives_idle is none from 0"),
    ("keepalives_interval=99999999999", "one whose keepalives_interval is none from 0"),
    ("tcp_user_timeout=5s", "one whose tcp_user_timeout is none from 0"),
    ("port=99999", "one whose port is none from 1 to 65535"),
    ("port=0", "one whose port is none from 1 to 65535"),
    ("host=a,b&port=1,2,3", "one with another number of ports than of hosts"),
    ("host=a,b&hostaddr=127.0.0.1", "one with another number of hosts than of hostaddr"),
    ("hostaddr=hunter2", "one whose hostaddr is no address such as 192.0.2.7"),
    ("hostaddr=::gg", "one whose hostaddr is no address"),
    ("replication=database", "one for replication, on which no statement can be run"),
    ("options=-c%20work_mem=4MB", "something that cannot be read; the = within the value of options is written %3D"),
    ("ssl_mode=require", "something that cannot be read; one of its options is none of libpq's; is sslmode meant?"),
    ("hunter2=1", "something that cannot be read; a special character in the password is written as %XX"),
]
TAKEN = [
    "connect_timeout=1.5",
    "connect_timeout=0",
    "sslmode=verify-full&sslrootcert=system",
    "target_session_attrs=read-write&host=a,b&port=1,2",
    "host=a,b&port=5433",
    "hostaddr=::1",
    "hostaddr=192.0.2.7,192.0.2.8&port=1,2",
    "host=/var/run/postgresql",
    "keepalives=0&keepalives_idle=30",
    "options=-csearch_path%3Dshop",
    "replication=off",
    "application_name=shop",
]


def with_options(address: str, options: str) -> str:
    return urlunsplit(urlsplit(address)._replace(query=options))


@pytest.mark.parametrize(("options", "text"), REFUSED)
def test_an_option_that_can_never_be_used_is_refused_when_it_is_given(options: str, text: str) -> None:
    address = f"postgresql://ada:swordfish@db.example.org/shop?{options}"
    with pytest.raises(InvalidSettings) as caught:
        store_for(address)
    assert str(caught.value).startswith(EXPECTED + text)
    ran = sagalog("--db", address, "list")
    assert (ran.code, ran.out) == (2, "")
    for told in (f"{caught.value} {caught.value!r} {caught.value.__cause__!r}", ran.err):
        assert "swordfish" not in told
        assert "hunter2" not in told


@pytest.mark.parametrize("options", TAKEN)
def test_an_option_that_libpq_takes_is_taken(options: str) -> None:
    assert isinstance(store_for(f"postgresql:///shop?{options}"), PostgresStore)


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("PGSSLMODE", "hunter2", "one that is used with the variable PGSSLMODE, which is none that libpq takes; write"),
        ("PGTARGETSESSIONATTRS", "x", "one that is used with the variable PGTARGETSESSIONATTRS, which is none"),
        ("PGSERVICE", "hunter2", "one that is used with the variable PGSERVICE, which is none that libpq takes; add"),
    ],
)
def test_a_variable_of_libpqs_that_can_never_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, text: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings) as caught:
        store_for("postgresql://ada:swordfish@db.example.org/shop")
    assert str(caught.value).startswith(EXPECTED + text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("hosts", ["a.example.org,b.example.org", "a.example.org"])
def test_hosts_from_the_environment_are_not_asked_for(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    monkeypatch.setenv("PGHOST", hosts)
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.7,192.0.2.8")
    monkeypatch.setenv("PGPORT", "1,2")
    assert isinstance(store_for("postgresql:///shop"), PostgresStore)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("options=-cno_such_setting%3D1", "does not take its options: expected settings that the server has"),
        ("options=-cwork_mem%3Dlots", "does not take its options"),
        ("options=--no-such", "does not take its options"),
        ("keepalives_idle=2000000000", "one of its options (keepalives_idle, ...) has a value that libpq does not"),
    ],
)
def test_what_only_the_server_can_say_of_an_address_ends_its_opening(
    postgres_url: str, options: str, text: str
) -> None:
    address = with_options(postgres_url, options)

    async def open_it() -> None:
        async with asyncio.timeout(20), ProcessManager(address):
            pass

    with pytest.raises(InvalidSettings) as caught:
        asyncio.run(open_it())
    assert text in str(caught.value)
    assert caught.value.__cause__ is None
    ran = sagalog("--db", address, "db", "upgrade")
    assert ran.code == 2
    assert text in ran.err


@pytest.mark.postgres
@pytest.mark.parametrize(("variable", "value"), [("PGTZ", "Nowhere/None"), ("PGOPTIONS", "-cwork_mem=lots")])
def test_what_only_the_server_can_say_of_a_variable_ends_the_opening_too(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings, match=f"in the address or in .*{variable}"):
        PostgresStore(postgres_url).open()


@pytest.mark.postgres
def test_a_server_that_stops_taking_what_it_took_is_waited_for(postgres_url: str) -> None:
    """What was right once is no slip of the hand: another server may have taken its place for a while."""
    store = PostgresStore(with_options(postgres_url, "options=-cwork_mem%3D4MB"))
    store.open()
    store.close()
    store._address.parameters["options"] = "-cno_such_setting=1"
    with pytest.raises(StoreUnavailable):
        store.open()


def test_what_a_server_says_of_other_things_is_no_mistake_of_the_address() -> None:
    for text in (
        "Connection refused",
        'role "ada" does not exist',
        "server does not support SSL, but SSL was required",
    ):
        assert refused_for_good(psycopg.OperationalError(text), {"options": "-cwork_mem=4MB"}, "x") is None
    # Nothing was given that it could be about.
    assert refused_for_good(psycopg.OperationalError('invalid value for parameter "x"'), {}, "x") is None


SERVER = "<PostgresStore postgresql://db.example.org:5432/shop>"


@pytest.mark.parametrize(
    "address",
    [
        " postgresql://ada:swordfish@db.example.org/shop",
        "postgresql://ada:swordfish@db.example.org/shop\n",
        "\tpostgresql://ada:swordfish@db.example.org/shop?sslmode=require\r\n",
        "\ufeffpostgresql://ada:swordfish@db.example.org/shop",
        "PostgreSQL://ada:swordfish@db.example.org/shop",
        "POSTGRES+PSYCOPG://ada:swordfish@db.example.org/shop",
    ],
)
def test_what_stands_around_the_address_of_a_server_says_nothing(address: str) -> None:
    assert repr(store_for(address)) == SERVER


@pytest.mark.parametrize("address", [" sqlite:///shop.db", "sqlite:///shop.db\n", "SQLite:///shop.db\r\n", "shop.db\n"])
def test_what_stands_around_the_address_of_a_file_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sagalog("db", "upgrade", environment={"SAGALOG_DB": address}).code == 0
    assert sagalog("list", environment={"SAGALOG_DB": address}).code == 0
    assert [one.name for one in tmp_path.glob("*.db*") if one.name.endswith("b")] == ["shop.db"]
    assert list(tmp_path.glob("*\n*")) == []
    if "://" in address:
        store = store_for(address)
        assert isinstance(store, SQLiteStore)
        assert store.path == "shop.db"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ('"postgresql://ada:swordfish@db/shop"', "found one in quotation marks; leave them out"),
        ("'sqlite:///shop.db'", "found one in quotation marks; leave them out"),
        ("SAGALOG_DB=postgresql://ada:swordfish@db/shop", "found a name and an = before it; write only what stands"),
        ("export DB='sqlite:///shop.db'", "found a name and an = before it"),
        ("postgresql:/ada:swordfish@db/shop", "found one without two slashes behind the colon"),
        ("postgresql:shop", "found one without two slashes behind the colon"),
    ],
)
def test_an_address_with_something_around_it_is_refused_with_what_to_do(address: str, text: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        store_for(address)
    assert text in str(caught.value)
    ran = sagalog("--db", address, "list")
    assert ran.code == 2
    assert "swordfish" not in str(caught.value) + ran.err


def test_no_secret_of_an_address_with_space_around_it_is_shown() -> None:
    address = "\n postgresql://ada:swordfish@db.example.invalid:1/shop\n"
    given = {"SAGALOG_DB": address}
    for ran in (
        sagalog("list", environment=given),
        sagalog("--debug", "list", environment=given),
        sagalog("--db", address, "list"),
    ):
        assert ran.code == 5
        assert "swordfish" not in ran.err + ran.out


def test_what_stands_around_the_address_of_a_broker_says_nothing() -> None:
    assert FastStreamTransport(" NATS://localhost:4222\n", service="shop").name == "nats"


def test_a_variable_that_ends_with_a_line_end_is_read_without() -> None:
    found = Settings.from_environment(
        {"SAGALOG_LEASE": "30\n", "SAGALOG_NEW_CONSUMERS": "now\n", "SAGALOG_SOURCE": "a\n"}
    )
    assert (found.lease, found.new_consumers, found.source) == (30, "now", "a")


def test_every_error_of_an_option_is_one_of_ours() -> None:
    for options, _ in REFUSED:
        with pytest.raises(SagalogError):
            ProcessManager(f"postgresql:///shop?{options}")
