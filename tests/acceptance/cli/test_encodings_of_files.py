"""Files that the command line reads may have the mark of UTF-8; one in another encoding is refused by its name."""

import json
from pathlib import Path

import pytest
from pages.command_line import ROOT, Ran, sagalog, write_app

MARK = b"\xef\xbb\xbf"
OTHERS = [
    ("utf-16", "UTF-16"),
    ("utf-16-le", "UTF-16LE"),
    ("utf-16-be", "UTF-16BE"),
    ("utf-32", "UTF-32"),
    ("utf-32-le", "UTF-32LE"),
    ("utf-32-be", "UTF-32BE"),
]
LINES = '{"name": "Ada"}\n{"name": "Bérénice"}\n'


def start(folder: Path, given: bytes, *, piped: bool) -> Ran:
    name = write_app(folder, "app_for_encodings")
    path = folder / "names.jsonl"
    path.write_bytes(given)
    return sagalog(
        "--app-dir", str(folder), "--app", name, "--db", str(folder / "a.db"),
        "start", "greet", "--input", "-" if piped else str(path), given=given if piped else b"",
    )  # fmt: skip


@pytest.mark.parametrize("piped", [False, True])
def test_lines_may_begin_with_the_mark_of_utf8(tmp_path: Path, piped: bool) -> None:
    ran = start(tmp_path, MARK + LINES.encode() + MARK + b'{"name": "Cai"}', piped=piped)
    assert (ran.code, ran.out, ran.err) == (0, "3 started, 0 already there, 0 bad\n", "")


@pytest.mark.parametrize("given", [MARK, MARK + b"\n", MARK + b"\r\n\r\n"])
def test_a_mark_alone_is_no_line(tmp_path: Path, given: bytes) -> None:
    assert start(tmp_path, given, piped=False).out == "0 started, 0 already there, 0 bad\n"


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize(("encoding", "called"), OTHERS)
def test_lines_in_another_encoding_are_refused_at_once_by_its_name(
    tmp_path: Path, encoding: str, called: str, piped: bool
) -> None:
    ran = start(tmp_path, LINES.encode(encoding), piped=piped)
    name = "the standard input" if piped else str(tmp_path / "names.jsonl")
    assert ran.code == 1
    assert ran.err == (
        f"error: {name}: expected UTF-8, found {called}; save it as UTF-8, or convert it: iconv -f {called} -t UTF-8\n"
    )
    assert ran.out == "0 started, 0 already there, 0 bad\n"


def test_a_line_in_an_encoding_that_nothing_tells_is_a_bad_line(tmp_path: Path) -> None:
    ran = start(tmp_path, LINES.encode("latin-1"), piped=False)
    assert (ran.code, ran.out) == (1, "1 started, 0 already there, 1 bad\n")
    assert ran.err == "line 2: expected UTF-8, found another encoding, such as Latin-1; save it as UTF-8\n"


@pytest.mark.parametrize(("encoding", "called"), [("utf-8-sig", None), *OTHERS])
def test_an_export_is_read_with_its_mark_or_refused_by_its_encoding(
    tmp_path: Path, encoding: str, called: str | None
) -> None:
    assert start(tmp_path, LINES.encode(), piped=False).code == 0
    exported = sagalog("--db", str(tmp_path / "a.db"), "export", "Ada").out
    path = tmp_path / "export.jsonl"
    path.write_bytes(exported.encode(encoding))
    ran = sagalog("replay", "--from", str(path), "-o", "json")
    if called is None:
        assert (ran.code, ran.err) == (0, "")
        assert json.loads(ran.out)["type"] == "SagaStarted"
    else:
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith(f"error: {path}: expected UTF-8, found {called}; save it as UTF-8")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8-sig", None),
        ("utf-16", "expected UTF-8, found UTF-16; save it as UTF-8"),
        ("latin-1", "expected UTF-8, found another encoding, such as Latin-1; save it as UTF-8"),
    ],
)
def test_an_audit_query_is_read_with_its_mark_or_refused_by_its_encoding(
    tmp_path: Path, encoding: str, text: str | None
) -> None:
    folder = tmp_path / "projections" / "audit"
    folder.mkdir(parents=True)
    query = "-- Né en trop.\nSELECT saga_key FROM saga_status WHERE 1 = 0;\n"
    path = folder / "born.sql"
    path.write_bytes(query.encode(encoding))
    assert sagalog("--db", str(tmp_path / "a.db"), "db", "upgrade").code == 0
    ran = sagalog("--db", str(tmp_path / "a.db"), "--app-dir", str(tmp_path), "audit", "-o", "json")
    if text is None:
        assert (ran.code, ran.err) == (0, "")
        assert json.loads(ran.out)[0]["result"] == "ok"
    else:
        [found] = json.loads(ran.out)
        assert (ran.code, found["result"]) == (1, "wrong")
        assert f"{path}: {text}" in found["error"]


def test_the_apps_own_queries_are_in_utf8_without_a_mark() -> None:
    paths = sorted((ROOT / "projections").rglob("*.sql"))
    assert paths
    assert not [path for path in paths if path.read_bytes().startswith(MARK)]
