"""The pages say what is there: links lead somewhere, indexes are complete, examples can be read.

``docs/manifest.md``, ``docs/emulator.md``, ``docs/cli.md`` and ``docs/lifecycle.md`` are compared
with the code in tests of their own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from overnight import __version__
from overnight.manifest import yaml12

ROOT = Path(__file__).parents[2]
ADR = ROOT / "docs" / "adr"

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")])
RECORDS = sorted(ADR.glob("[0-9]*.md"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# --- reading Markdown -----------------------------------------------------------------------------


@cache
def tokens(page: Path) -> list[Token]:
    """The page as Markdown's own parser reads it: what stands in a code block is no link."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def inline(page: Path) -> Iterator[Token]:
    for token in tokens(page):
        yield from token.children or ()


def links(page: Path) -> list[str]:
    """The addresses of links and pictures, as they are written."""
    found = [token.attrs.get("href") or token.attrs.get("src") for token in inline(page)]
    return [unquote(str(address)) for address in found if address is not None]


def code_spans(page: Path) -> list[str]:
    return [token.content for token in inline(page) if token.type == "code_inline"]


def headings(page: Path) -> list[str]:
    """The texts of the page's headings, without their marks."""
    found = []
    for opening, content in zip(tokens(page), tokens(page)[1:], strict=False):
        if opening.type == "heading_open":
            found.append("".join(part.content for part in content.children or ()))
    return found


def anchors(page: Path) -> set[str]:
    """What a link may point at inside a page, by the rule of the site that shows these pages:
    lower case, no punctuation but - and _, spaces as -, repeats numbered."""
    found: set[str] = set()
    for heading in headings(page):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        name, n = slug, 0
        while name in found:
            n += 1
            name = f"{slug}-{n}"
        found.add(name)
    return found


def outside(address: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]*:", address) is not None


def dead(page: Path, address: str) -> bool:
    """Whether a link of our own leads nowhere."""
    file, _, anchor = address.partition("#")
    target = page if not file else (page.parent / file).resolve()
    if not target.exists() or not target.is_relative_to(ROOT):
        return True
    return bool(anchor) and (target.suffix != ".md" or anchor not in anchors(target))


# --- links and names ------------------------------------------------------------------------------


@each_page
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert [link for link in links(page) if not outside(link) and dead(page, link)] == []


def test_a_dead_link_is_seen() -> None:
    page = ROOT / "docs" / "lifecycle.md"
    assert dead(page, "nowhere.md")
    assert dead(page, "#nothing")
    assert dead(page, "../src/overnight/lifecycle.py#x")
    assert dead(page, "../../..")
    assert not dead(page, "#what-retry-does")
    assert not dead(ADR / "README.md", "../lifecycle.md#what-retry-does")


_FILE = re.compile(r"[\w.-]+(/[\w.-]+)+\.(py|md|yaml|json|toml|mako|txt)")


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    """A span such as ``store/writer.py`` is counted from the top, or from the package."""
    named = [span for span in code_spans(page) if _FILE.fullmatch(span)]
    roots = (ROOT, ROOT / "src" / "overnight")
    assert [name for name in named if not any((root / name).is_file() for root in roots)] == []


@each_page
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = {match for span in code_spans(page) for match in re.findall(r"^make ([a-z]+)", span)}
    assert named <= set(targets)


# --- what a page shows ----------------------------------------------------------------------------


def yaml_blocks() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for token in tokens(page):
            if token.type == "fence" and token.info.split()[:1] in (["yaml"], ["yml"]):
                line = token.map[0] + 1 if token.map else 0
                yield f"{page.relative_to(ROOT)}:{line}", token.content


@pytest.mark.parametrize(("place", "text"), list(yaml_blocks()), ids=lambda value: value[:40])
def test_yaml_that_is_shown_can_be_read(place: str, text: str) -> None:
    assert yaml12.read(text.encode(), place).data


# --- indexes --------------------------------------------------------------------------------------


def table_links(page: Path) -> dict[str, str]:
    """Links that stand in the page's tables: address to text."""
    rows = re.findall(r"^\|.*\[([^\]]+)\]\(([^)#]+)\)", page.read_text("utf-8"), re.MULTILINE)
    return {address: text for text, address in rows}


def test_every_decision_is_in_the_index_under_its_own_title() -> None:
    titles = {record.name: headings(record)[0] for record in RECORDS}
    listed = table_links(ADR / "README.md")
    assert {name: f"{name[:4]}. {text}" for name, text in listed.items()} == titles
    assert [name[:4] for name in titles] == [f"{n:04}" for n in range(1, len(titles) + 1)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_decision_is_one_page_of_three_parts(record: Path) -> None:
    assert headings(record)[1:] == ["Context", "Decision", "Consequences"]
    assert len(record.read_text("utf-8").splitlines()) <= 60


def test_every_page_is_in_the_index_of_the_docs() -> None:
    index = ROOT / "docs" / "README.md"
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    listed = {link for link in links(index) if not outside(link)}
    assert pages <= listed
    assert "adr/README.md" in listed


def test_every_room_of_the_house_is_in_contributing() -> None:
    package = ROOT / "src" / "overnight"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert rooms <= set(code_spans(ROOT / "CONTRIBUTING.md"))


def test_the_changelog_has_this_version() -> None:
    sections = [title.split(" ")[0] for title in headings(ROOT / "CHANGELOG.md")]
    assert __version__ in sections


def test_the_table_of_dependencies_is_what_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    for_users = [one for name, listed in extras.items() if name != "dev" for one in listed]
    declared = [*project["dependencies"], *for_users]
    wanted = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in declared}
    [record] = [page for page in RECORDS if page.stem.endswith("dependencies")]
    listed = re.findall(r"^\| `([^`]+)` \|", record.read_text("utf-8"), re.MULTILINE)
    assert set(listed) == wanted
    assert len(listed) == len(wanted)


# --- what stays out -------------------------------------------------------------------------------

# In two halves each, so that this file passes its own test.
FOREIGN = ("/" + "work/", "." + "library", ".." + "/shared")
"""Places on the machine where this was written, which nobody else has."""

TEXT = {".py", ".md", ".yaml", ".toml", ".txt", ".json", ".mako"}


def tracked() -> Iterator[Path]:
    """The project's own text files."""
    yield from (ROOT / name for name in ("Makefile", "pyproject.toml", "jobs.example.yaml"))
    yield from ROOT.glob("*.md")
    for folder in ("src", "docs", "tests", "alembic"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in TEXT)


def test_no_file_speaks_of_the_machine_it_was_written_on() -> None:
    speaking = {
        str(path.relative_to(ROOT)): word
        for path in tracked()
        for word in FOREIGN
        if word in path.read_text(encoding="utf-8")
    }
    assert speaking == {}
