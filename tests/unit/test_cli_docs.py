"""``docs/cli.md`` says what the program does: its tables are compared with the code."""

import re
from pathlib import Path

import pytest

from overnight.cli import jobs, options, show, status
from overnight.cli.demo import EXAMPLE, example
from overnight.cli.due import Bill
from overnight.cli.exits import Exit
from overnight.cli.forecast import Forecast
from overnight.cli.load import Figures
from overnight.cli.main import VERBS
from overnight.lifecycle import State
from overnight.store.rows import AttemptRow, Batch, JobRow

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"docs/cli.md has no section {title!r}"
    return found.group(1)


def first_cells(text: str) -> list[str]:
    """The first cell of each row of the tables in ``text``, without the heads."""
    rows = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    return [
        row
        for row in rows
        if row not in ("verb", "code", "field", "event", "variable", "check", "---")
    ]


def names(cells: list[str]) -> list[str]:
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_table_of_exit_codes_is_the_enum() -> None:
    assert [int(code) for code in first_cells(section("Exit codes"))] == sorted(Exit)


def test_every_verb_has_a_row() -> None:
    table = section("Verbs").split("###")[0]
    documented = {name.split()[0] for name in names(first_cells(table))}
    assert documented == set(VERBS)


def test_the_fields_of_jobs_are_documented() -> None:
    row = JobRow(
        *(1, "b", "k", "f", State.PENDING, 0, None, "m", {}, {}, [], [], None, False, 0.0, 0.0)
    )
    table = section("JSON").split("`overnight jobs --json`")[1].split("`overnight show")[0]
    assert names(first_cells(table)) == list(jobs.fields(row))


def test_the_fields_of_status_are_documented() -> None:
    batch = Batch(1, "b", "m", {}, "o", 0.0, dict.fromkeys(State, 0))
    table = section("JSON").split("`overnight status --json`")[1].split("`overnight jobs")[0]
    assert names(first_cells(table)) == list(status.fields(batch, None))


def test_the_fields_of_an_attempt_are_documented() -> None:
    attempt = AttemptRow(1, None, 0.0, None, None, None, None, None, None, None)
    paragraph = section("JSON").split("`overnight show JOB --json`")[1]
    for name in show.attempt_fields(attempt):
        assert f"`{name}`" in paragraph


def test_the_fields_of_loading_and_of_the_bill_are_documented() -> None:
    rows = dict(re.findall(r"^\| `(load|plan)` \| (.+) \|$", section("JSON"), re.MULTILINE))
    figures = Figures("b", 1, 2, 3, 4, 5, 6, 7)
    bill = Bill([], Forecast({}, {}, 1))
    for event, known in (("load", figures.fields()), ("plan", bill.fields())):
        assert set(names([rows[event]])) - {"--prune"} == set(known) - {"event"}


@pytest.mark.parametrize("name", [options.DB_VARIABLE, "RUNCOMFY_API_TOKEN", "NO_COLOR"])
def test_variables_are_documented(name: str) -> None:
    assert name in names(first_cells(section("Environment")))


def test_the_example_is_found_from_a_checkout() -> None:
    assert example().name == EXAMPLE
    assert example().read_text(encoding="utf-8").count("matrix:") >= 1
