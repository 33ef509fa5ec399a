"""`sagalog audit --junit`: a report that build servers read, whatever a query finds."""

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from pages.command_line import ROOT, Ran, sagalog
from sagas.shop_demo import FinishedDemo

FINE = "-- All is well.\nSELECT saga_id FROM saga_status WHERE 1 = 0"
FOUND = """-- A row is a saga.
-- needs: saga_status 1
SELECT saga_key, '<&"' || char(1) || '\n' AS text FROM saga_status LIMIT 21
"""
BROKEN = "-- Cannot be run.\nSELECT 1 FROM nowhere"


@pytest.fixture
def folder(finished_demo: FinishedDemo, tmp_path: Path) -> Path:
    """A folder with an app's audits, and a copy of the demo's database."""
    for path in finished_demo.folder.iterdir():
        shutil.copy(path, tmp_path)
    audits = tmp_path / "projections" / "audit"
    audits.mkdir(parents=True)
    for name, sql in (("fine", FINE), ("found", FOUND), ("broken", BROKEN)):
        (audits / f"{name}.sql").write_text(sql)
    return tmp_path


def audit(folder: Path, *words: str) -> Ran:
    return sagalog("--db", str(folder / "demo.db"), "--app-dir", str(folder), "audit", *words)


def test_each_query_is_a_test_case_that_passes_fails_or_cannot_be_run(folder: Path) -> None:
    report = folder / "report.xml"
    ran = audit(folder, "--junit", str(report))
    assert ran.code == 1
    assert "fine" in ran.out
    root = ET.fromstring(report.read_bytes())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert list(cases) == ["broken", "fine", "found"]
    assert len(cases["fine"]) == 0
    (error,) = cases["broken"]
    assert (error.tag, "no such table: nowhere" in (error.text or "")) == ("error", True)
    (failure,) = cases["found"]
    lines = (failure.text or "").split("\n")
    assert (failure.tag, lines[0]) == ("failure", "21 rows: A row is a saga.")
    assert failure.get("message") == lines[0]
    assert lines[-1] == "and 1 more"
    assert 'text=<&"\\x01' in (failure.text or "")


def test_on_stdout_there_is_nothing_but_the_report(folder: Path) -> None:
    ran = audit(folder, "--junit", "-")
    assert ran.code == 1
    assert len(list(ET.fromstring(ran.out.encode()).iter("testcase"))) == 3


def test_the_audits_of_the_shop_all_pass(finished_demo: FinishedDemo) -> None:
    ran = sagalog("--db", str(finished_demo.folder / "demo.db"), "--app-dir", str(ROOT), "audit", "--junit", "-")
    assert ran.code == 0
    root = ET.fromstring(ran.out.encode())
    assert (root.get("failures"), root.get("errors")) == ("0", "0")


def test_a_report_that_cannot_be_written_is_one_error(folder: Path) -> None:
    ran = audit(folder, "--junit", str(folder / "nowhere" / "report.xml"))
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
