"""Every page is run as a reader would run it: code, commands and queries, and what they show. It judges no prose."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages.page_run import PageRun, assert_shown, columns_of, commands_of
from pages.pages import ROOT, Page, pages


def name_of(page: Page) -> str:
    return page.name


@pytest.fixture
def page_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in, without settings from outside; what a page imports does not outlive it."""
    monkeypatch.chdir(tmp_path)
    for name in ("SAGALOG_DB", "SAGALOG_APP", "SHOP_DB"):
        monkeypatch.delenv(name, raising=False)
    path, modules = list(sys.path), set(sys.modules)
    # A page's own `shop` must not be mistaken for one that other tests have imported.
    support = ROOT / "tests" / "support"
    sys.path[:] = [folder for folder in path if Path(folder) != support]
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "").is_relative_to(support):
            monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if name == "page" or (file is not None and Path(file).is_relative_to(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", [page for page in pages() if page.blocks], ids=name_of)
def test_what_a_page_shows_is_what_happens(page: Page, page_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PageRun(page, page_folder, monkeypatch.setenv).run()


@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md"])
def test_a_page_to_begin_with_says_how_to_install_before_it_runs_anything(name: str) -> None:
    blocks = [block for block in Page(ROOT / name).blocks if block.language == "console"]
    commands = [command for block in blocks for command, _ in commands_of(block.text)]
    installs = next(number for number, command in enumerate(commands) if "pip install" in command)
    runs = next(
        number
        for number, command in enumerate(commands)
        if command.startswith(("python ", "sagalog ")) and "pip install" not in command
    )
    assert installs < runs


def test_dots_stand_for_the_rest_of_a_line() -> None:
    assert_shown("saga ... completed", "saga 01a2 completed\n")
    with pytest.raises(AssertionError):
        assert_shown("saga ... completed", "saga 01a2 failed")
    with pytest.raises(AssertionError):
        assert_shown("saga ...", "saga 01a2\nand more")


def test_a_line_of_dots_stands_for_any_lines() -> None:
    assert_shown("first\n...\nlast", "first\nsecond\nthird\nlast")
    assert_shown("first\n...\nlast", "first\nlast")
    assert_shown("first\n...", "first\nsecond\nthird")
    with pytest.raises(AssertionError):
        assert_shown("first\n...\nlast", "first\nsecond\nlast but one")


def test_commands_are_read_with_what_they_write() -> None:
    text = "$ sagalog list \\\n    --status stuck\nKEY\norder-1\n$ make demo\n"
    assert commands_of(text) == [("sagalog list     --status stuck", "KEY\norder-1\n"), ("make demo", "")]


def test_tables_are_compared_by_their_cells() -> None:
    assert columns_of("a    b\n─────\n1  x y") == columns_of("| a | b |\n| 1 | x y |")
