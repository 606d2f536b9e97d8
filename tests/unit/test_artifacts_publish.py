"""What is said of an object store that can't be used."""

from __future__ import annotations

import pytest
from obstore.exceptions import GenericError

from overnight.artifacts import publish
from overnight.artifacts.publish import StoreRefused, StoreTrouble

URL = "s3://night/in"
NO_ROLE = (
    "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 5s - Server "
    "returned non-2xx status code: 403 Forbidden"
)
SILENT = "Generic S3 error: Error performing PUT https://s3.test/night/in/a - HTTP error: timed out"


@pytest.mark.parametrize("said", [NO_ROLE, NO_ROLE.partition(" - ")[0]])
def test_whoever_has_no_keys_is_told_so_at_once_and_not_after_an_hour(said: str) -> None:
    trouble = publish.trouble(URL, GenericError(said), has_keys=False)
    assert isinstance(trouble, StoreRefused)
    assert "there are no AWS keys" in str(trouble)


@pytest.mark.parametrize("has_keys", [True, False])
def test_a_store_that_is_silent_may_answer_later(has_keys: bool) -> None:
    trouble = publish.trouble(URL, GenericError(SILENT), has_keys=has_keys)
    assert type(trouble) is StoreTrouble
    assert "could not be reached" in str(trouble)
