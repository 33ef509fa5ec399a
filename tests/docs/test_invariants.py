"""The page of invariants and the tests say the same: which rules there are, which are held, and how they are named.

It knows no place of a test: whatever is named `test_*.py` below `tests` is one.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
PAGE = ROOT / "docs" / "invariants.md"

_RULE = re.compile(r"^### (\d+)\. [^\n]+\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_HOW = re.compile(r"^\*\*(Held|Held in part|Not held yet)\.\*\*", re.MULTILINE)
# What follows a number must not go on with the list: that would be a range, or a list that is written otherwise.
_NO_MORE = r"(?!\d|\s*(?:,|-|and\b|or\b|to\b)\s*\d)"
_NAMED = re.compile(rf"\b[Ii]nvariant (\d+){_NO_MORE}|\b[Ii]nvariants (\d+(?:, \d+)* and \d+){_NO_MORE}")
_MEANT = re.compile(r"\binvariants?(?:\s+(?:sections?|no\.?|numbers?))?[\s#:(\[]*\d", re.IGNORECASE)
_FINDING = re.compile(r"(\d+): ")


@dataclass(frozen=True)
class Rule:
    """A rule of the page, and how it says that the rule is held."""

    number: int
    text: str
    how: str


@cache
def rules() -> dict[int, Rule]:
    """Return the rules by number, as the page has them."""
    found: dict[int, Rule] = {}
    for match in _RULE.finditer(PAGE.read_text(encoding="utf-8")):
        number, hows = int(match[1]), _HOW.findall(match["text"])
        assert number not in found, f"rule {number} stands on the page twice"
        assert len(hows) == 1, f"rule {number} says {len(hows)} times how it is held: {hows}"
        found[number] = Rule(number, match["text"], hows[0])
    return found


def held() -> set[int]:
    """Return the numbers of the rules that are held, be it in part."""
    return {rule.number for rule in rules().values() if rule.how != "Not held yet"}


def numbers(text: str) -> set[int]:
    """Return the rules that are named in the one way to name them."""
    return {int(digits) for match in _NAMED.finditer(text) for digits in re.findall(r"\d+", match[0])}


def otherwise(text: str) -> list[int]:
    """Return the lines in which rules are named in any other way."""
    found = [match.start() for match in _MEANT.finditer(text) if not _NAMED.match(text, match.start())]
    return [text.count("\n", 0, start) + 1 for start in found]


@cache
def files() -> dict[str, str]:
    """Return what may name a rule, by its path: everything but this file and the page."""
    folders = [ROOT / name for name in ("src", "tests", "domain", "projections", "docs")]
    paths = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*"))]
    kept = [path for path in sorted(paths) if path.suffix in {".py", ".sql", ".md"}]
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in kept
        if path not in {PAGE, Path(__file__)}
    }


def is_test(name: str) -> bool:
    path = Path(name)
    return path.parts[0] == "tests" and path.name.startswith("test_") and path.suffix == ".py"


@cache
def findings() -> list[tuple[str, int]]:
    """Return where a verdict has a finding, and the number with which it begins."""
    found: list[tuple[str, int]] = []
    for name, text in files().items():
        if name.endswith(".py") and Path(name).parts[0] == "src":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    match = _FINDING.match(node.value)
                    if match is not None:
                        found.append((f"{name}:{node.lineno}", int(match[1])))
    return found


def test_rules_are_numbered_without_a_gap_and_counted() -> None:
    assert list(rules()) == list(range(1, len(rules()) + 1))
    hows = [rule.how for rule in rules().values()]
    held_by_tests, in_part, not_yet = (hows.count(how) for how in ("Held", "Held in part", "Not held yet"))
    said = (
        f"{len(hows)} numbered rules. {held_by_tests} are held by tests, {in_part} are held in part, "
        f"and {not_yet} are not held yet."
    )
    assert said in PAGE.read_text(encoding="utf-8"), f"the page does not say: {said}"


def test_a_rule_says_where_it_was_seen_and_what_it_waits_for() -> None:
    for rule in rules().values():
        assert re.search(r"^(Seen in|Breaks it): ", rule.text, re.MULTILINE), f"where was rule {rule.number} seen?"
        waits = re.search(r"\bwaits\s+for\b", rule.text.split("**", 1)[1])
        assert bool(waits) == (rule.how != "Held"), f"rule {rule.number} is {rule.how.lower()}: what does it wait for?"


def test_a_rule_that_is_held_is_named_by_a_test() -> None:
    named = {number for name, text in files().items() if is_test(name) for number in numbers(text)}
    assert sorted(held() - named) == [], "these are said to be held, and no test names them"


def test_a_rule_that_is_not_held_yet_is_named_by_nobody() -> None:
    named = {name: numbers(text) & (set(rules()) - held()) for name, text in files().items()}
    named |= {place: {number} - held() for place, number in findings() if number in rules()}
    assert {name: found for name, found in named.items() if found} == {}, "the page says that they are not held yet"


def test_nobody_names_a_rule_that_is_not_on_the_page() -> None:
    unknown = {name: numbers(text) - set(rules()) for name, text in files().items()}
    unknown |= {place: {number} - set(rules()) for place, number in findings()}
    assert {name: found for name, found in unknown.items() if found} == {}


def test_the_findings_of_the_verdicts_are_among_what_is_looked_at() -> None:
    assert len({number for _, number in findings()}) > 15


def test_there_is_one_way_to_name_a_rule() -> None:
    wrong = {name: otherwise(text) for name, text in files().items()}
    assert {name: lines for name, lines in wrong.items() if lines} == {}, "see docs/invariants.md for the form"


def test_the_command_of_the_page_finds_every_place_that_names_a_rule() -> None:
    command = re.search(r'^`grep -rnE "(.+)" tests src`$', PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert command is not None
    lines = [line for name, text in files().items() if name.endswith(".py") for line in text.splitlines()]
    places = [line for line in lines if "nvariant" in line]
    for number in rules():
        pattern = re.compile(command[1].replace("12", str(number)))
        assert [line for line in places if pattern.search(line)] == [line for line in places if number in numbers(line)]


# Put together, so that a search for the tests of a rule does not find these examples.
ONE, MANY = "Invariant", "Invariants"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"{ONE} 12.", {12}),
        (f"{ONE} 7: 2,000 commands cross.", {7}),
        (f"{MANY} 5 and 7: at least once.", {5, 7}),
        (f"What is late ({MANY.lower()} 3, 20 and 32) counts.", {3, 20, 32}),
        (f"Every {ONE.lower()} holds.", set[int]()),
        (f"The {MANY.lower()} of compensation, 1 by 1.", set[int]()),
    ],
)
def test_what_names_a_rule_is_read(text: str, named: set[int]) -> None:
    assert (numbers(text), otherwise(text)) == (named, [])


@pytest.mark.parametrize(
    "text",
    [
        f"{MANY.upper()} 7.",
        f"{ONE.upper()} 7 in an outage.",
        f"{MANY} 7.",
        f"{ONE} 5, 7.",
        f"{ONE} 5 and 7.",
        f"{MANY} 5, 7.",
        f"{MANY} 5, 7, and 35.",
        f"{MANY} 1 to 3.",
        f"{MANY} 1-3.",
        f"{MANY} 2, 3 and 5 to 7.",
        f"{MANY} 5, 7\nand 35.",
        f"{MANY}\n5 and 7.",
        f"{MANY} sections 5 and 6.",
        f"{ONE} no. 7, {ONE} #7, {ONE}: 7, {ONE}7.",
    ],
)
def test_what_names_a_rule_in_another_way_is_found(text: str) -> None:
    assert otherwise(text)
