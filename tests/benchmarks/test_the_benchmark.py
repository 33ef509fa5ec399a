"""The benchmark runs on both databases and counts what it should; how fast it is says nothing here."""

import json
from pathlib import Path

import pytest
from servers.postgres_server import ENVIRONMENT_VARIABLE, PostgresServer

from tests.benchmarks import kernel, parts
from tests.benchmarks.bench import main

TINY = [
    "--quick",
    "--sagas=5",
    "--rounds=1",
    "--idle=2",
    "--finished=100",
    "--long=1",
    "--troubled=4",
    "--followed=30",
    "--replayed=9",
    "--projected=9",
    "--reacted=9",
    "--search=200",
    "--waiting=5",
    "--polled=100",
    "--crowd=2200",
]
ON_REQUEST = [f"--part={part.name}" for part in parts.ON_REQUEST]


def test_the_kernel_is_measured_without_a_store(capfd: pytest.CaptureFixture[str]) -> None:
    assert kernel.main(["--quick"]) == 0
    assert "for_each, one by one, undone" in capfd.readouterr().out


def test_every_part_of_the_benchmark_runs_on_sqlite(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    numbers = tmp_path / "numbers.json"
    assert main([*TINY, "--store=sqlite", f"--folder={tmp_path}", f"--json={numbers}"]) == 0
    (store,) = json.loads(numbers.read_text(encoding="utf-8"))["stores"]
    assert store["work"]["events_per_saga"] == 5
    assert store["filled"]["finished"] == 100
    assert store["memory"]["most"] > 1
    assert store["ratios"].keys() == {"throughput, engine / floor", "idle latency, engine / floor"}
    assert [shape["steps"] for shape in store["shapes"]] == [3, 30, 300, 3, 3]
    assert store["troubled"]["number"] == 4
    assert len(store["troubled"]["troubled"]["seconds"]) == 5 * 2 * 2
    assert [batch for batch, _ in store["followed"]["batches"]] == [1, 100, 500]
    assert store["replayed"]["sagas"] == 9
    assert store["replayed"]["events"] >= 9 * 5
    assert [way["name"] for way in store["replayed"]["ways"]] == ["fold", "decode and fold", "read, decode and fold"]
    assert store["projected"]["events"] == store["replayed"]["events"]
    assert store["projected"]["asynchronous"]["engine"]["name"] == "engine"
    assert store["inline"]["sagas"] == 5
    assert len(store["inline"]["at_once"]["engine"]["seconds"]) == 1
    assert store["reacted"]["log"] == store["projected"]["events"]
    assert [way["events"] for way in store["reacted"]["ways"]] == [9, 9 * 3 - 1]
    assert [kind["part"] for kind in store["kinds"]] == list(parts.KINDS)
    assert all(kind["number"] == 5 and len(kind["beside"]["engine"]["seconds"]) == 1 for kind in store["kinds"])
    assert all(len(kind["processor"]["floors"][0]["seconds"]) == 1 for kind in store["kinds"])
    assert store["kinds"][0]["writes"] == {"saga_events": 5, "saga_status": 4, "saga_steps": 3}
    assert store["search"]["sagas"] == 200
    assert {"list", "--saga rare, ten", "--attribute: two", "show"} <= {one["name"] for one in store["search"]["asked"]}
    assert {"due", "mail", "inbox"} <= {one["name"] for one in store["polled"]["asked"]}
    assert store["commands"]["number"] == 2200
    assert {"list --limit 20", "show order-1100", "export --all"} <= {
        one["many"]["name"] for one in store["commands"]["commands"]
    }
    printed = capfd.readouterr().out
    assert "sagas/s, median" in printed
    assert "looking among 200 sagas" in printed
    assert "with 100 finished sagas in the tables" in printed


def test_what_is_measured_on_request_runs_on_sqlite(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    numbers = tmp_path / "numbers.json"
    assert main([*TINY, *ON_REQUEST, "--store=sqlite", f"--folder={tmp_path}", f"--json={numbers}"]) == 0
    (store,) = json.loads(numbers.read_text(encoding="utf-8"))["stores"]
    assert [len(one["longest"]["seconds"]) for one in store["passes"]] == [1] * 4
    assert len(store["paced"]["beside"]["seconds"]) == 3 * 2 * 2
    assert store["threads"]["number"] == 5
    assert [one["part"] for one in store["written"]] == list(parts.WRITTEN)
    for one in store["written"]:
        assert one["alone"]["commits"] >= 4, "a commit for the start and for each step"
        assert one["floor"]["commits"] == 1 / 5, "all of a wave in one"
        assert one["floor"]["bytes"] > 0
    assert [one["says"] for one in store["waiting"]] == list(parts.WAITS)
    assert store["scale"] is None, "one file has one writer"
    assert "one saga every 5 ms beside 5" in capfd.readouterr().out


@pytest.mark.postgres
def test_what_differs_on_postgresql_runs_there(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, postgres_server.url())
    assert (
        main(
            [
                *TINY,
                "--store=postgres",
                "--part=work",
                "--part=finished",
                "--part=troubled",
                "--part=followed",
                "--part=replayed",
                "--part=projected",
                "--part=inline",
                "--part=reacted",
                "--part=search",
                "--part=written",
                "--part=polled",
            ]
        )
        == 0
    )
    assert "psycopg arrays" in capfd.readouterr().out
