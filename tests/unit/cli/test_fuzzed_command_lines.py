"""Whatever stands behind an option: an answer, or one line that says what was expected; never a traceback."""

import asyncio
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pages.command_line import sagalog
from sagas.greeting import Greeting, greet

from sagalog.cli.quantities import duration, moment
from sagalog.errors import InvalidSettings
from sagalog.harmless import CONTROLS
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store.quantities import LONGEST_DURATION, parse_duration, parse_moment

ODD = (
    *(
        "",
        " ",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "9" * 40,
        "9" * 5_000,
        "²",
        "٣",
        "1e400",
        "nan",
        "inf",
        "-inf",
        "1_000",
        "0x10",
    ),
    *(
        "1d",
        "9" * 400 + "s",
        "1." + "0" * 400 + "s",
        "1" * 18 + "w",
        "1m" * 200,
        "0ms",
        "-5m",
        "1e5s",
        "\uff15m",
        "1 d 1 h",
    ),
    *("0000-01-01", "0001-01-01", "9999-12-31T23:59:59.999999", "9999-12-31T23:59:59-14:00", "+11095-01-01"),
    *("0001-01-01T00:00:00+23:59", "2025-02-30", "2025-W54-1", "T", "2025-11-23T14:05:09+99:99", "now"),
    *(
        "\x1b[2J",
        "\x9b2J",
        "\u202e",
        "\u2028",
        "\udc80",
        "\udcff",
        "\u200b",
        "\u2060a",
        "a\u200d",
        "\U000e0041",
        "\u0301",
        "a\nb",
        "a\tb",
        "😀" * 600,
        "x" * 100_000,
    ),
    *("/", "/dev/null", "..", ".", "~", "a/b", "x" * 300, "/" + "x" * 5_000, "{}", "[]", "null", "%s", "{0}", "$(id)"),
    *("sqlite:///", "sqlite:///:memory:", "sqlite:///nowhere.db", "sqlite:///file:x.db", "sqlite:///x.db?mode=ro"),
    *("sqlite://host/x.db", "postgresql://", "postgresql://:@:/", "postgresql://[::1", "postgresql://h:99999/d"),
    *("postgresql://h:x/d", "postgresql://" + "a" * 64, "nats://x", "memory://", "://", "a://", "host=", "=", "a=b"),
    *("domain.", ".domain", "domain..x", "os", "sys", "__main__", "1", "class", "json.tool", "é"),
)
# What an operating system passes on: anything but NUL.
words = st.one_of(
    st.sampled_from(ODD), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
)

COMMANDS = (
    *("list --older @", "list --newer @", "list --limit @", "list --status @", "list --saga @", "list --key @"),
    *("list --error @", "list --after @", "list -o @", "list @", "show @", "show ada --saga @", "show @ --trace"),
    *("history @", "replay @", "replay ada --at @", "replay --from @", "export @", "wait ada --timeout @", "wait @"),
    *(
        "unmatched list --status @",
        "unmatched list --name @",
        "unmatched list --consumer @",
        "unmatched list --limit @",
    ),
    *("unmatched list --after @", "unmatched show @", "unmatched redeliver @ --reason r", "db sql --dialect @"),
    *(
        "history @ -o json",
        "show @ -o csv",
        "export ada @",
        "export ada --saga @",
        "db grants @",
        "demo @",
        "unmatched discard --all --name @ --reason r",
        "unmatched discard x --actor @ --reason r",
        "db @",
        "@",
        "unmatched @",
    ),
    *("unmatched discard x --actor a --reason @", "--app @ list", "--app @ check", "--app-dir @ list", "--db @ list"),
    *(
        "--db @ check --no-log",
        "--db @ wait x",
        "--db @ db status",
        "graph @",
        "graph greet --format @",
        "run --log-level @",
    ),
    *(
        "diff @ ada",
        "diff ada @",
        "diff ada@@ ada",
        "diff ada ada --with @",
        "graph --run @",
        "graph --run ada --format @",
    ),
    *("graph --from @", "export ada --scrub --salt @", "replay @ --step"),
    *("start @ --input -", "start greet --input @", "start greet --input - --key @", "run --log-format @", "audit @"),
)


@pytest.fixture(scope="module")
def greeted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("greeted") / "greeted.db"

    async def execute() -> None:
        saga = greet()
        async with ProcessManager(f"sqlite:///{path}", sagas=[saga]) as manager:
            await manager.execute(saga, Greeting("ada"), timeout=20)

    asyncio.run(execute())
    return path


@pytest.mark.parametrize("command", COMMANDS)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(word=words)
def test_whatever_stands_behind_an_option_is_answered_or_refused_in_a_line(
    greeted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given_words = [word if one == "@" else one for one in command.split()]
    environment = {
        "SAGALOG_DB": f"sqlite:///{greeted}",
        "SAGALOG_CONNECT_TIMEOUT": "0.2",
        "SAGALOG_STATEMENT_TIMEOUT": "0.2",
    }
    ran = sagalog(*given_words, environment=environment)
    assert ran.code in (0, 1, 2, 3, 4, 5), ran
    assert "--debug shows where" not in ran.err
    assert "Traceback" not in ran.err
    if ran.code > 1:
        last = ran.err.splitlines()[-1]
        assert last.startswith("error: ")
        assert len(last) < 2_300
    assert CONTROLS.search((ran.out + ran.err).replace("\n", "")) is None
    # Whatever was asked, nothing was made.
    assert list(tmp_path.iterdir()) == []


def a_sentence(problem: Exception, beginning: str) -> None:
    assert str(problem).startswith(beginning)
    assert len(str(problem)) < 400


@given(words)
def test_an_age_is_a_length_of_time_or_a_sentence(text: str) -> None:
    try:
        found = parse_duration(text)
    except ValueError as problem:
        a_sentence(problem, "expected a length of time such as 500ms")
    else:
        assert 0 <= found <= LONGEST_DURATION
        assert duration(found)


@pytest.mark.parametrize(
    "text", ["1" * 1_000_000, "1" * 1_000_000 + "s", "1m" * 500_000, " " * 1_000_000, "1" + " " * 1_000_000 + "x"]
)
def test_an_age_of_a_megabyte_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match="expected a length of time") as caught:
        parse_duration(text)
    assert len(str(caught.value)) < 300
    assert time.process_time() - began < 1


@given(words)
def test_a_time_is_a_time_or_a_sentence(text: str) -> None:
    try:
        found = parse_moment(text)
    except ValueError as problem:
        a_sentence(problem, "expected a time such as 2025-11-23")
    else:
        assert moment(found)


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_every_time_that_a_database_holds_can_be_shown(microseconds: int, precision: str) -> None:
    assert re.fullmatch(
        r"([+-]\d{4,6}|\d{4})-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d(:\d\d)?", moment(microseconds, precision)
    )
    assert duration(microseconds)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (253_402_300_800 * 1_000_000, "+10000-01-01T00:00:00.000+00:00"),
        (288_000_000_000 * 1_000_000, "+11096-05-10T08:00:00.000+00:00"),
        (-62_135_596_800 * 1_000_000 - 1, "+0000-12-31T23:59:59.999+00:00"),
        (2**63 - 1, "+294247-01-10T04:00:54.775+00:00"),
    ],
)
def test_a_year_that_no_calendar_shows_has_its_sign(microseconds: int, text: str) -> None:
    assert moment(microseconds) == text


@given(st.sampled_from(sorted(Settings.model_fields)), words)
def test_a_setting_is_read_or_refused_in_a_sentence(name: str, word: str) -> None:
    try:
        found = Settings.from_environment({f"SAGALOG_{name.upper()}": word})
    except InvalidSettings as problem:
        a_sentence(problem, f"settings are wrong: {name} (SAGALOG_{name.upper()}): expected ")
    else:
        assert found.limits().lease > 0
        assert found.store_options().readers > 0
