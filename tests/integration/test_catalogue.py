"""The catalogue and the wallet over real sockets: an emulator's answers, good and spoiled, and the
program that fetches, keeps and uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from overnight.catalog import Catalog, Entry
from overnight.emulator import Call, Emulator, Settings
from overnight.emulator.models import emulated_catalog
from overnight.providers.base import Gone, NoAnswer, Refused
from overnight.providers.catalogue import PAGE, Balance, Described, Page, whole_catalogue
from overnight.providers.credentials import Account
from overnight.providers.redaction import Secret
from overnight.providers.runcomfy import RunComfy
from tests.integration.cli_shell import Shell

TOKEN = "tok-5f9c1e7a2b"
TEXT_TO_VIDEO = "emulator/lantern/text-to-video"
SEED = "community/wan-2-1/fusionx/image-to-video"


class Many:
    """A source of more models than one page holds."""

    def model_ids(self) -> Sequence[str]:
        return [f"lab/model-{n:03}" for n in range(2 * PAGE + 3)]

    def entry(self, model_id: str) -> Entry | None:
        schema = {"properties": {"prompt": {"type": "string"}}}
        return Entry(model_id, schema) if model_id in self.model_ids() else None


def connected(emulator: Emulator, token: str = TOKEN) -> RunComfy:
    return RunComfy.connect(Account(emulator.base_url, Secret(token), "test"))


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(token=TOKEN, balance=12.5)) as running:
        yield running


@pytest.fixture
async def provider(emulator: Emulator) -> AsyncIterator[RunComfy]:
    made = connected(emulator)
    yield made
    await made.aclose()


async def no_sleep(_: float) -> None:
    pass


# --- the calls ------------------------------------------------------------------------------------


async def test_every_model_comes_with_its_schema(provider: RunComfy) -> None:
    page = await whole_catalogue(provider)
    assert isinstance(page, Page)
    assert page.total == 4
    found = {str(model["model_id"]): model["input_schema"] for model in page.models}
    catalog = emulated_catalog()
    assert found == {name: catalog.find(name).input_schema for name in catalog.model_ids()}


async def test_a_large_catalogue_comes_in_pages() -> None:
    async with Emulator(Settings(token=TOKEN), catalog=Catalog([Many()])) as emulator:
        provider = connected(emulator)
        page = await whole_catalogue(provider)
        await provider.aclose()
        assert isinstance(page, Page)
        assert [model["model_id"] for model in page.models] == list(Many().model_ids())
        assert emulator.ledger.calls[Call.MODELS] == 3


async def test_one_model_or_none(provider: RunComfy, emulator: Emulator) -> None:
    found = await provider.model(TEXT_TO_VIDEO)
    assert isinstance(found, Described)
    assert (found.model["base_price_usd"], found.model["price_unit"]) == (0.02, "second")
    assert isinstance(await provider.model("no/such"), Gone)
    asked = emulator.ledger.calls[Call.MODELS]
    assert isinstance(await provider.model("../balance"), Gone)
    assert emulator.ledger.calls[Call.MODELS] == asked


async def test_the_wallet_is_read(provider: RunComfy) -> None:
    assert await provider.balance() == Balance(12.5)


async def test_a_bad_token_is_refused_everywhere(emulator: Emulator) -> None:
    provider = connected(emulator, "other")
    assert isinstance(await whole_catalogue(provider), Refused)
    assert isinstance(await provider.model(SEED), Refused)
    assert isinstance(await provider.balance(), Refused)
    await provider.aclose()


@pytest.mark.parametrize(
    "fault",
    ["http-503", "html-504", "garbage-200", "cut", "drop-before", "drop-after", "error-200"],
)
async def test_a_page_that_is_spoiled_is_asked_for_again(
    provider: RunComfy, emulator: Emulator, fault: str
) -> None:
    emulator.faults.add(f"models:{fault}@2x")
    page = await whole_catalogue(provider, sleep=no_sleep)
    assert isinstance(page, Page)
    assert len(page.models) == 4
    assert emulator.ledger.faults[f"models:{fault}"] == 2


@pytest.mark.parametrize("fault", ["http-500", "forbidden", "garbage-200", "cut", "throttle"])
async def test_a_wallet_that_can_not_be_read_is_no_refusal(
    provider: RunComfy, emulator: Emulator, fault: str
) -> None:
    emulator.faults.add(f"balance:{fault}")
    assert isinstance(await provider.balance(), NoAnswer)


# --- the program ----------------------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path: Path, emulator: Emulator) -> Shell:
    return Shell(tmp_path, emulator)


def submits(emulator: Emulator) -> int:
    return emulator.ledger.calls[Call.SUBMIT]


async def test_what_is_fetched_once_is_used_without_a_network(
    shell: Shell, emulator: Emulator
) -> None:
    before = await shell.run("models", "--json")
    assert [model["model"] for model in before.objects] == [SEED]
    assert emulator.ledger.calls[Call.MODELS] == 0
    done = await shell.run("models", "--refresh", "--json")
    assert done.code == 0
    assert len(done.objects) == 4
    assert "4 models fetched: 3 new, 1 with another price." in done.err
    asked = emulator.ledger.calls[Call.MODELS]
    found = {model["model"]: model for model in (await shell.run("models", "--json")).objects}
    assert emulator.ledger.calls[Call.MODELS] == asked
    assert found[TEXT_TO_VIDEO]["price"] == {
        "usd": 0.02,
        "unit": "second",
        "note": "Invented: 0.02 US dollars for each second of the clip.",
    }
    assert {model["from"] for model in found.values()} == {"fetched"}
    assert all(model["date"] for model in found.values())
    again = await shell.run("models", "--refresh")
    assert "4 models fetched: 0 new." in again.err


async def test_a_manifest_of_a_fetched_model_is_checked_against_it(
    shell: Shell, emulator: Emulator
) -> None:
    manifest = f"version: 1\nmodel: {TEXT_TO_VIDEO}\ninputs: {{prompt: A kite, duration: 5}}\n"
    (shell.folder / "kite.yaml").write_text(manifest)
    unknown = await shell.run("load", "kite.yaml")
    assert unknown.code == 2
    assert "overnight models --refresh" in unknown.err
    assert emulator.ledger.calls[Call.MODELS] == 0
    await shell.run("models", "show", TEXT_TO_VIDEO, "--refresh")
    wrong = await shell.run("load", "kite.yaml")
    assert wrong.code == 2
    assert "duration is 5, but it must be 4, 6 or 8" in wrong.err
    (shell.folder / "kite.yaml").write_text(manifest.replace("5", "6"))
    assert (await shell.run("load", "kite.yaml")).code == 0
    assert submits(emulator) == 0


async def test_init_fetches_the_model_that_it_is_for(shell: Shell, emulator: Emulator) -> None:
    done = await shell.run("init", TEXT_TO_VIDEO, "-o", "kite.yaml")
    assert done.code == 0
    assert emulator.ledger.calls[Call.MODELS] == 1
    assert (await shell.run("load", "kite.yaml")).code == 0


async def test_a_refused_token_is_code_4_and_keeps_what_was_there(
    shell: Shell, emulator: Emulator
) -> None:
    await shell.run("models", "--refresh")
    emulator.faults.add("models:bad-token")
    done = await shell.run("models", "--refresh")
    assert done.code == 4
    assert "turns the account away" in done.err
    assert done.out == ""
    assert len((await shell.run("models", "--json")).objects) == 4


async def test_a_provider_that_is_down_is_code_1(shell: Shell, emulator: Emulator) -> None:
    emulator.faults.add("models:html-504,retry_after=0")
    done = await shell.run("models", "--refresh")
    assert done.code == 1
    assert "The catalogue could not be fetched: HTTP 504" in done.err
    shown = await shell.run("models", "show", SEED, "--refresh")
    assert shown.code == 1


TWO_MODELS = f"""\
version: 1
name: two
inputs: {{prompt: A paper boat in a gutter}}
matrix: {{seed: [1, 2]}}
jobs:
  - name: fusionx
    model: {SEED}
    inputs: {{image: RunComfy_examples_1235_1.png}}
  - name: lantern
    model: {TEXT_TO_VIDEO}
    inputs: {{duration: 6}}
run: {{concurrency: 4}}
"""


async def test_two_models_cost_what_the_plan_said(shell: Shell, emulator: Emulator) -> None:
    (shell.folder / "two.yaml").write_text(TWO_MODELS)
    await shell.run("models", "--refresh")
    [plan] = (await shell.run("plan", "two.yaml", "--json")).objects
    assert (plan["jobs"], plan["cost"]) == (4, pytest.approx(2 * 0.05 + 2 * 6 * 0.02))
    done = await shell.run("run", "two.yaml", "--yes", "--json")
    assert done.code == 0, done
    assert emulator.service.balance_micro == round((12.5 - plan["cost"]) * 1_000_000)
    assert {entry.model for entry in emulator.ledger.accepted} == {SEED, TEXT_TO_VIDEO}
