"""docker-compose.yml is read as a document, since tests need no docker; `docker compose config` is not asked."""

import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = cast("dict[str, Any]", yaml.safe_load(TEXT))
SERVICES = cast("dict[str, dict[str, Any]]", COMPOSE["services"])


def test_there_is_a_database_a_broker_a_worker_and_the_payment_service() -> None:
    assert set(SERVICES) == {"postgres", "nats", "worker", "payments"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_when_it_is_healthy(name: str) -> None:
    healthcheck = SERVICES[name]["healthcheck"]
    assert healthcheck["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(healthcheck)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_keeps_is_in_a_named_volume(name: str) -> None:
    volumes = [volume.split(":")[0] for volume in SERVICES[name]["volumes"]]
    assert volumes
    assert set(volumes) <= set(COMPOSE["volumes"])


def test_the_worker_waits_for_a_healthy_database() -> None:
    assert SERVICES["worker"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_passwords_come_from_the_environment() -> None:
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"] == "${POSTGRES_PASSWORD:-sagalog}"
    assert "sagalog:${POSTGRES_PASSWORD:-sagalog}@postgres:5432" in SERVICES["worker"]["environment"]["SAGALOG_DB"]


@pytest.mark.parametrize("name", ["postgres", "nats"])
def test_a_server_is_open_to_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_what_the_broker_keeps_outlives_it() -> None:
    assert "--store_dir=/data" in SERVICES["nats"]["command"]
    assert SERVICES["nats"]["volumes"] == ["nats-data:/data"]


def test_what_the_broker_has_acknowledged_is_on_disk() -> None:
    [given] = SERVICES["nats"]["configs"]
    assert f"--config={given['target']}" in SERVICES["nats"]["command"]
    assert COMPOSE["configs"][given["source"]]["content"] == "jetstream { sync_interval: always }"


def test_the_worker_and_the_payment_service_meet_at_the_broker_and_share_nothing_else() -> None:
    worker, payments = SERVICES["worker"], SERVICES["payments"]
    assert worker["environment"]["SHOP_BROKER"] == payments["environment"]["SHOP_BROKER"] == "nats://nats:4222"
    assert payments["command"] == ["python", "-m", "domain.payments"]
    assert not set(worker["volumes"]) & set(payments["volumes"])
    assert worker["build"] == payments["build"]


def test_the_worker_is_built_from_what_is_in_the_repository_and_does_not_run_as_root() -> None:
    recipe = cast("str", SERVICES["worker"]["build"]["dockerfile_inline"])
    copied = [path for line in re.findall(r"^COPY (.*) \S+$", recipe, re.MULTILINE) for path in line.split()]
    missing = [path for path in copied if not (ROOT / path).exists()]
    assert not missing
    assert re.search(r"^USER (?!root)\w+$", recipe, re.MULTILINE)
