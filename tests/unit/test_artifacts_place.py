"""Addresses, and which place a file is in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.artifacts.bucket import Address, BucketError
from overnight.artifacts.place import Folder, Places, spool_of

PARTS = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)


@given(st.sampled_from(["s3", "gs", "az"]), st.lists(PARTS, max_size=4))
def test_an_address_is_read_as_it_is_written(scheme: str, parts: list[str]) -> None:
    address = Address(scheme, "bucket").below("/".join(parts))
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["/clips", "clips", "s3:/b/x", "https://b/x", "", "s3://"])
def test_other_texts_are_no_addresses(text: str) -> None:
    assert Address.parse(text) is None


def test_a_file_is_in_the_place_that_it_was_recorded_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after its batch was given another one."""
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    places = Places(tmp_path / "spool")
    now = places.of("s3://b/clips")
    assert places.holding("s3://b/clips/1/a.mp4", "s3://b/clips") is now
    assert now.on_desk("s3://b/clips/1/a.mp4") == now.desk / "1" / "a.mp4"
    assert now.location(now.desk / "1" / "a.mp4") == "s3://b/clips/1/a.mp4"
    before = places.holding("s3://b/old/a.mp4", "s3://b/clips")
    assert before.location(before.on_desk("s3://b/old/a.mp4")) == "s3://b/old/a.mp4"
    assert before.desk != now.desk
    here = places.holding("/clips/a.mp4", "s3://b/clips")
    assert isinstance(here, Folder)
    assert here.on_desk("/clips/a.mp4") == Path("/clips/a.mp4")
    assert places.holding("s3://b/old/a.mp4", "/clips").desk == before.desk
    places.close()


def test_a_bucket_needs_a_desk() -> None:
    with pytest.raises(BucketError):
        Places().of("s3://b/clips")


def test_closing_takes_away_what_is_empty_and_nothing_else(tmp_path: Path) -> None:
    spool = spool_of(tmp_path / "night.db")
    (spool / "a" / "b").mkdir(parents=True)
    (spool / "c").mkdir()
    (spool / "c" / ".x.part").write_text("half a clip")
    Places(spool).close()
    assert sorted(path.name for path in spool.rglob("*")) == [".x.part", "c"]
    (spool / "c" / ".x.part").unlink()
    Places(spool).close()
    assert not spool.exists()
