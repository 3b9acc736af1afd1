"""The documentation is true: its code runs, its references are generated, its links lead somewhere."""

import re
from pathlib import Path

import pytest
from support.code_blocks import (
    PAGES,
    PROGRAMS,
    README_NOT_RUN,
    ROOT,
    Block,
    blocks,
    make_workspace,
    run,
    smaller,
)

from docs.generate import pages

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
ALL = [block for page in PAGES for block in blocks(page)]
NOT_RUN = [block for block in ALL if block.why_not_run is not None]
BY_NAME = {"argvalues": PAGES, "ids": lambda page: page.name}


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.language in PROGRAMS for block in blocks(page))],
    ids=lambda page: page.name,
)
def test_every_block_of_a_page_runs_as_it_stands(page: Path, finished: Path, tmp_path: Path):
    run(page, make_workspace(finished, tmp_path / "workspace"))


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: block.place)
def test_a_block_that_is_not_run_says_why(block: Block):
    print(f"{block.place} is not run: {block.why_not_run}")
    assert block.why_not_run


def test_no_reason_is_given_for_a_block_that_is_not_there():
    readme = [block.text for block in ALL if block.page.name == "README.md"]
    for start in README_NOT_RUN:
        assert any(text.startswith(start) for text in readme)


@pytest.mark.parametrize(
    ("command", "run_as"),
    [
        ("python -m raysweep", "python -m raysweep +sweep=smoke 'stages=[plan]'"),
        ("python -m raysweep +sweep=kv", "python -m raysweep +sweep=kv 'stages=[plan]'"),
        ("python -m raysweep +sweep=smoke  # first", "python -m raysweep +sweep=smoke"),
        ("python -m raysweep --help", "python -m raysweep --help"),
        (
            "python -m raysweep 'stages=[report]'",
            "python -m raysweep 'stages=[report]' +sweep=smoke",
        ),
    ],
)
def test_what_is_run_of_readmes_commands_is_small(command: str, run_as: str):
    assert smaller(command) == run_as


@pytest.mark.parametrize("name", pages())
def test_a_generated_page_is_up_to_date(name: str):
    assert (ROOT / "docs" / name).read_text() == pages()[name], "run: make docs"


@pytest.mark.parametrize("page", **BY_NAME)
def test_links_within_the_repository_lead_somewhere(page: Path):
    for target in LINK.findall(without_code(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    plain = (
        re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(without_code(page))
    )
    return {heading.strip().replace(" ", "-") for heading in plain}
