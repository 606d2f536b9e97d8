"""The page about the manifest, and the example manifests: each one makes what is said of it."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from overnight.catalog import Catalog
from overnight.catalog.given import Given
from overnight.catalog.lookup import bundled
from overnight.manifest import ManifestError, read_manifest
from overnight.manifest.yaml12 import MAX_BYTES, MAX_DEPTH, MAX_VALUES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "manifest.md").read_text("utf-8")
FENCES = [token for token in MarkdownIt("commonmark").parse(PAGE) if token.type == "fence"]
EXAMPLES = [token.content for token in FENCES if token.info == "yaml"]
FOLDER = ROOT / "docs" / "examples"


def files_after(at: int) -> dict[str, str]:
    """The files that the page shows under an example, by name."""
    start = [token.content for token in FENCES].index(EXAMPLES[at]) + 1
    found = {}
    for token in FENCES[start:]:
        if token.info == "yaml":
            break
        words = token.info.split()
        if len(words) == 2:
            found[words[1]] = token.content
    return found


def test_every_example_says_how_many_jobs_it_makes() -> None:
    assert len(EXAMPLES) >= 15
    assert [text.splitlines()[0] for text in EXAMPLES if not re.match(r"# \d+ jobs?\b", text)] == []


@pytest.mark.parametrize("at", range(len(EXAMPLES)))
def test_the_examples_of_the_page(tmp_path: Path, at: int) -> None:
    for name, text in files_after(at).items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "jobs.yaml").write_text(EXAMPLES[at], "utf-8")
    manifest = read_manifest(tmp_path / "jobs.yaml")
    specs = list(manifest.specs())
    said = int(EXAMPLES[at].split()[1])
    assert len(specs) == said
    assert manifest.count() in (said, None)
    assert len({spec.fingerprint for spec in specs}) == said


def test_the_error_of_the_page(tmp_path: Path) -> None:
    head = "version: 1\nmodel: community/wan-2-1/fusionx/image-to-video\n"
    image = "  image: RunComfy_examples_1235_1.png\n"
    file = tmp_path / "jobs.yaml"
    file.write_text(f"{head}inputs:\n{image}  prompt: x\n  steps: 40\n")
    with pytest.raises(ManifestError) as caught:
        read_manifest(file)
    assert caught.value.pretty().replace(f"{tmp_path}/", "") in PAGE


def test_the_limits_of_the_page() -> None:
    assert f"at most {MAX_BYTES // 2**20} MiB" in PAGE
    assert f"at most {MAX_VALUES:,} values" in PAGE
    assert f"at most {MAX_DEPTH} deep" in PAGE


# --- docs/examples --------------------------------------------------------------------------------


def listed() -> dict[str, int]:
    """The manifests in the table of the examples, and their numbers of jobs."""
    text = (FOLDER / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| \[([^\]]+)\]\(([^)]+)\) \|[^|]+\| ([\d,]+) \|", text, re.MULTILINE)
    assert all(name == address for name, address, _ in rows)
    return {name: int(jobs.replace(",", "")) for name, _, jobs in rows}


def test_every_example_manifest_is_in_the_table() -> None:
    assert set(listed()) == {path.name for path in FOLDER.glob("*.yaml")}
    assert len(listed()) >= 8


@pytest.mark.parametrize(("name", "jobs"), listed().items())
def test_the_example_manifests(name: str, jobs: int) -> None:
    given = Given(str(path) for path in sorted(FOLDER.glob("*.json")))
    manifest = read_manifest(FOLDER / name, Catalog([given, bundled()]))
    specs = list(manifest.specs())
    assert len({spec.fingerprint for spec in specs}) == len(specs) == jobs
    assert manifest.name == Path(name).stem or manifest.name == "mara-consistency"
    assert manifest.notes == ()
    named = [spec.name for spec in specs if spec.name is not None]
    assert len(set(named)) == len(named)


def test_the_first_line_of_each_example_leads_editors_to_the_schema() -> None:
    for path in FOLDER.glob("*.yaml"):
        found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text("utf-8"))
        assert found is not None
        assert (FOLDER / found[1]).is_file()
