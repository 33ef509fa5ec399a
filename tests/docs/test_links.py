"""Links within the repository lead somewhere, and every page can be reached from the README; it asks no other host."""

from pathlib import Path

import pytest
from pages.pages import README, ROOT, Page, pages


def name_of(page: Page) -> str:
    return page.name


def target_of(page: Page, link: str) -> tuple[Path, str]:
    """Return the file that a link leads to, and the anchor in it."""
    path, _, anchor = link.partition("#")
    return (page.path.parent / path).resolve() if path else page.path, anchor


def is_internal(link: str) -> bool:
    return "://" not in link and not link.startswith("mailto:")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_internal_link_leads_somewhere(page: Page) -> None:
    for link in filter(is_internal, page.links):
        path, anchor = target_of(page, link)
        assert path.is_relative_to(ROOT), f"{page.name} links outside of the repository: {link}"
        assert path.exists(), f"{page.name} links to {link}, which is not there"
        if anchor:
            assert path.suffix == ".md", f"{page.name}: {link} names a part of a file that has no parts"
            assert anchor in Page(path).anchors, f"{page.name} links to {link}, and there is no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    to_read = [README]
    while to_read:
        page = to_read.pop()
        reached.add(page.path)
        for link in filter(is_internal, page.links):
            path, _ = target_of(page, link)
            if path.suffix == ".md" and path not in reached:
                to_read.append(Page(path))
    assert {page.name for page in pages() if page.path not in reached} == set()


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_page_has_one_title_and_no_heading_twice(page: Page) -> None:
    assert page.text.startswith("# ")
    assert page.prose.count("\n# ") == 0
    if not page.path.is_relative_to(ROOT / "docs" / "decisions"):
        assert len(page.headings) == len(page.anchors)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_block_says_what_it_is(page: Page) -> None:
    known = {"python", "text", "sql", "console", "json", "mermaid"}
    for block in page.blocks:
        assert block.language in known, f"{page.name}:{block.line} is a block of {block.language or 'nothing'}"
        assert all(word == "no-run" or word.startswith("file=") for word in block.words), f"{page.name}:{block.line}"


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert 100 <= len(README.text.splitlines()) <= 140
