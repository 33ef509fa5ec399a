"""Findings as a report in the form of JUnit, which build servers and monitors read: a test case for each check."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from sagalog.harmless import harmless_lines


class Case(NamedTuple):
    """One check: its name, what it found (None: nothing), an error if it could not be made, why it was not made."""

    name: str
    found: str | None = None
    error: str | None = None
    skipped: str | None = None


def report(suite: str, cases: Sequence[Case], properties: Mapping[str, str] | None = None) -> bytes:
    """Return the report as XML in UTF-8; `properties` say of what it is."""
    failures, errors = sum(one.found is not None for one in cases), sum(one.error is not None for one in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": str(errors)}
    counts["skipped"] = str(sum(one.skipped is not None for one in cases))
    root = ET.Element("testsuites", counts)
    holder = ET.SubElement(root, "testsuite", {"name": suite, **counts})
    if properties:
        known = ET.SubElement(holder, "properties")
        for name, value in properties.items():
            ET.SubElement(known, "property", {"name": name, "value": harmless_lines(value)})
    for one in cases:
        case = ET.SubElement(holder, "testcase", {"classname": suite, "name": one.name})
        if one.error is not None:
            _tell(case, "error", one.error)
        elif one.found is not None:
            _tell(case, "failure", one.found)
        elif one.skipped is not None:
            _tell(case, "skipped", one.skipped)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _tell(case: ET.Element, what: str, text: str) -> None:
    """Add what a case found; XML takes no control characters, so they are shown as escapes."""
    told = harmless_lines(text)
    ET.SubElement(case, what, {"message": told.split("\n", 1)[0]}).text = told
