"""What each answer of the catalogue and the wallet becomes, and how a whole catalogue is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.providers.base import Gone, NoAnswer, Refused
from overnight.providers.catalogue import (
    PAGE,
    Balance,
    Described,
    Page,
    PageOutcome,
    balance_outcome,
    model_outcome,
    page_outcome,
    whole_catalogue,
)
from overnight.providers.runcomfy_answers import Answer


def said(status: int = 200, /, **words: Any) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(words).encode())


def page_of(status: int) -> Answer:
    return Answer(status, {"content-type": "text/html"}, b"<html><body>Gateway</body></html>")


BAD_TOKEN = said(401, error_code=400004, error_message="Missing token.")
AS_200 = said(200, error_code=400004, error_message="Missing token.")
FORBIDDEN = said(403, error_code=403001, error_message="Not for you.")
NOT_FOUND = said(404, error_code=404001, error_message="No such model.")


def test_a_page_holds_what_names_a_model() -> None:
    models = [{"model_id": "a/b", "x": 1}, {"model_id": ""}, {}, "a/c", None, {"model_id": 5}]
    assert page_outcome(said(models=models, total=6)) == Page(({"model_id": "a/b", "x": 1},), 6)


@pytest.mark.parametrize("total", [None, True, -1, "6", 6.5])
def test_a_total_that_is_no_number_is_none(total: object) -> None:
    assert page_outcome(said(models=[], total=total)) == Page((), None)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (BAD_TOKEN, Refused),
        (AS_200, Refused),
        (FORBIDDEN, Refused),
        (NOT_FOUND, NoAnswer),
        (page_of(200), NoAnswer),
        (page_of(504), NoAnswer),
        (said(500, error="oops"), NoAnswer),
        (said(models={}), NoAnswer),
        (said(), NoAnswer),
        (Answer(200, {}, b""), NoAnswer),
    ],
)
def test_what_is_no_page(answer: Answer, kind: type) -> None:
    assert isinstance(page_outcome(answer), kind)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (said(model_id="a/b", kind="video"), Described({"model_id": "a/b", "kind": "video"})),
        (NOT_FOUND, Gone),
        (BAD_TOKEN, Refused),
        (said(model_id="a/c"), NoAnswer),
        (said(models=[]), NoAnswer),
        (page_of(404), NoAnswer),
    ],
)
def test_one_model(answer: Answer, outcome: object) -> None:
    found = model_outcome(answer, "a/b")
    assert isinstance(found, outcome) if isinstance(outcome, type) else found == outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (said(balance_usd=12.5, balance_microdollars=1, currency="USD"), Balance(12.5)),
        (said(balance_microdollars=250_000), Balance(0.25)),
        (said(balance_usd=0), Balance(0.0)),
        (said(balance_usd=-3), Balance(-3.0)),
        (BAD_TOKEN, Refused),
        (AS_200, Refused),
        (said(401, detail="who?"), Refused),
        # An account that may not read its wallet can still run jobs.
        (FORBIDDEN, NoAnswer),
        (said(402, error_code=400002, error_message="Insufficient balance."), NoAnswer),
        (NOT_FOUND, NoAnswer),
        (page_of(403), NoAnswer),
        (said(balance_usd="12"), NoAnswer),
        (said(balance_usd=True), NoAnswer),
        (said(), NoAnswer),
        (Answer(200, {}, b'{"balance_usd": NaN}'), NoAnswer),
        (Answer(200, {}, b'{"balance_usd": 1' + b"0" * 400 + b"}"), NoAnswer),
    ],
)
def test_the_wallet(answer: Answer, outcome: object) -> None:
    found = balance_outcome(answer)
    assert isinstance(found, outcome) if isinstance(outcome, type) else found == outcome


@given(st.binary(max_size=60) | st.text(max_size=20).map(str.encode), st.integers(100, 599))
def test_no_answer_raises(body: bytes, status: int) -> None:
    answer = Answer(status, {}, body)
    assert isinstance(page_outcome(answer), Page | Refused | NoAnswer)
    assert isinstance(model_outcome(answer, "a"), Described | Gone | Refused | NoAnswer)
    assert isinstance(balance_outcome(answer), Balance | Refused | NoAnswer)


# --- the whole catalogue --------------------------------------------------------------------------


class Served:
    """A catalogue of ``size`` models; ``troubles`` come before the first answers."""

    def __init__(
        self,
        size: int,
        *,
        troubles: Iterable[PageOutcome] = (),
        most: int = PAGE,
        total: bool = True,
    ) -> None:
        self.size = size
        self.troubles = list(troubles)
        self.most = most
        self.total = total
        self.asked: list[int] = []
        self.slept: list[float] = []

    async def models(self, *, offset: int, limit: int) -> PageOutcome:
        self.asked.append(offset)
        if self.troubles:
            return self.troubles.pop(0)
        last = min(self.size, offset + min(limit, self.most))
        models = tuple({"model_id": f"m/{n}"} for n in range(offset, last))
        return Page(models, self.size if self.total else None)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def fetched(self) -> PageOutcome:
        return await whole_catalogue(self, sleep=self.sleep)


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 7])
@pytest.mark.parametrize("most", [PAGE, 20])
@pytest.mark.parametrize("total", [True, False])
async def test_every_page_is_read_once(size: int, most: int, total: bool) -> None:
    served = Served(size, most=most, total=total)
    page = await served.fetched()
    assert isinstance(page, Page)
    assert [model["model_id"] for model in page.models] == [f"m/{n}" for n in range(size)]
    assert len(set(served.asked)) == len(served.asked)


async def test_a_server_that_knows_no_offsets_is_read_once() -> None:
    class Same(Served):
        async def models(self, *, offset: int, limit: int) -> PageOutcome:
            return await super().models(offset=0, limit=limit)

    served = Same(PAGE, total=False)
    page = await served.fetched()
    assert isinstance(page, Page)
    assert len(page.models) == PAGE
    assert len(served.asked) == 2


async def test_a_catalogue_without_an_end_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overnight.providers.catalogue._MOST_MODELS", 200)
    served = Served(10**9)
    found = await served.fetched()
    assert found == NoAnswer("the catalogue does not end after 200 models")


async def test_a_page_that_does_not_come_is_asked_for_again() -> None:
    served = Served(3, troubles=[NoAnswer("503"), NoAnswer("429", retry_after=7)])
    page = await served.fetched()
    assert isinstance(page, Page)
    assert len(page.models) == 3
    assert (served.asked, served.slept) == ([0, 0, 0], [1.0, 7])


async def test_pages_that_are_too_long_are_asked_for_in_smaller_parts() -> None:
    class Heavy(Served):
        async def models(self, *, offset: int, limit: int) -> PageOutcome:
            if limit > 10:
                return NoAnswer("the answer is longer than 4,194,304 bytes")
            return await super().models(offset=offset, limit=limit)

    served = Heavy(23)
    page = await served.fetched()
    assert isinstance(page, Page)
    assert [model["model_id"] for model in page.models] == [f"m/{n}" for n in range(23)]


async def test_a_long_retry_after_is_not_waited_out() -> None:
    served = Served(3, troubles=[NoAnswer("429", retry_after=3600)])
    assert isinstance(await served.fetched(), Page)
    assert served.slept == [30.0]


async def test_repeating_has_an_end() -> None:
    served = Served(3, troubles=[NoAnswer("down")] * 9)
    assert await served.fetched() == NoAnswer("down")
    assert len(served.asked) == 3


async def test_a_refusal_is_not_repeated() -> None:
    served = Served(3, troubles=[Refused("no", "400004")])
    assert await served.fetched() == Refused("no", "400004")
    assert (served.asked, served.slept) == ([0], [])
