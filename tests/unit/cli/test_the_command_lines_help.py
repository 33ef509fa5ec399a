"""What `sagalog --help` says, and that it costs next to nothing because it imports no command."""

import json
import os
import subprocess
import sys
from importlib import import_module

import click
import pytest
from pages.command_line import sagalog

from sagalog.cli import COMMANDS
from sagalog.cli.options import OUTPUT_OPTION

CPU_SECONDS = 0.150
LOADED_LATER = (
    "rich",
    "asyncio",
    "sqlite3",
    "eventsourcing",
    "pydantic",
    "psycopg",
    "logging",
    "sagalog.process_manager",
)
EVERY_COMMAND = [(name, entry) for section in COMMANDS.values() for name, entry in section.items()]

MEASURE = """
import json, resource, subprocess, sys
program = [sys.executable, "-c", "from sagalog.cli import main; main(prog_name='sagalog')", "--help"]
subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps(usage.ru_utime + usage.ru_stime))
"""


def test_help_takes_at_most_150_ms_of_cpu() -> None:
    """The best of several: a machine that does other things makes one slow, never one fast."""
    best = float("inf")
    for _ in range(8):
        measured = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True)
        best = min(best, json.loads(measured.stdout))
        if best <= CPU_SECONDS:
            return
    pytest.fail(f"sagalog --help took {best * 1000:.0f} ms of CPU")


def test_help_imports_no_command_and_nothing_that_a_command_needs() -> None:
    script = (
        "import sys\nfrom sagalog.cli import main\n"
        "try: main(['--help'], prog_name='sagalog')\nexcept SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    loaded = set(ran.stderr.split())
    assert loaded.isdisjoint(LOADED_LATER)
    assert {name for name in loaded if name.startswith("sagalog.cli.")} == {"sagalog.cli.options"}


@pytest.mark.parametrize(("name", "entry"), EVERY_COMMAND, ids=[name for name, _ in EVERY_COMMAND])
def test_the_short_help_in_the_list_is_the_commands_own(name: str, entry: tuple[str, str]) -> None:
    function, text = entry
    command: click.Command = getattr(import_module(f"sagalog.cli.commands.{name}"), function)
    assert command.name == name
    assert (command.help or "").startswith(text)


@pytest.mark.parametrize("name", [name for name, _ in EVERY_COMMAND])
def test_every_command_explains_itself(name: str) -> None:
    ran = sagalog(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: sagalog {name}")


def test_the_list_names_every_command_under_its_section() -> None:
    ran = sagalog("--help")
    assert ran.code == 0
    for name, _ in EVERY_COMMAND:
        assert f"  {name} " in ran.out
    for section in COMMANDS:
        assert f"{section}:" in ran.out


def test_the_global_options_may_stand_before_and_behind_the_command() -> None:
    for name in ("--db", "--app-dir", "--app", "--debug", "-o"):
        assert name in sagalog("list", "--help").out
        assert name in sagalog("--help").out


def test_the_version_is_printed() -> None:
    ran = sagalog("--version")
    assert ran.code == 0
    assert ran.out.startswith("sagalog")


def test_the_formats_are_those_that_are_documented() -> None:
    kind = OUTPUT_OPTION().type
    assert isinstance(kind, click.Choice)
    assert list(kind.choices) == ["table", "json", "jsonl", "csv"]
