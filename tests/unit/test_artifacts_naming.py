"""What files are called, whatever the job is called."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.artifacts.naming import LONGEST, file_name, media_type, place, stem, suffix_in

URL = "https://cdn.example/x/clip.mp4?sig=a.b"

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""


def name(key: str, n: int = 1, of: int = 1) -> str:
    return file_name(key, n, of, url=URL, content_type=None)


@pytest.mark.parametrize(
    "key",
    ["anna", "anna red seed=7", "夜の街", "👩‍🚀 on the moon", "steps-14,cfg=1.5", "עברית", "a.b.c"],
)
def test_a_key_that_fits_is_kept(key: str) -> None:
    assert name(key) == f"{key}.mp4"


def test_several_files_are_numbered() -> None:
    assert [name("anna", n, 3) for n in (1, 2, 3)] == ["anna-1.mp4", "anna-2.mp4", "anna-3.mp4"]


@pytest.mark.parametrize(
    ("key", "start"),
    [
        ("../../etc/passwd", "_.._etc_passwd-"),
        ("/abs", "_abs-"),
        ("C:\\x", "C__x-"),
        (".hidden", "hidden-"),
        ("..", "job-"),
        ("", "job-"),
        ("   ", "job-"),
        ("end. ", "end-"),
        ("con", "_con-"),
        ("NUL.tar", "_NUL.tar-"),
        ("lpt1", "_lpt1-"),
        ("com¹", "_com¹-"),
        ("a\x00b\nc\x1bd", "a_b_c_d-"),
        ("exe.\u202e4pm", "exe._4pm-"),
        ("bad\ud800", "bad_-"),
        ('what?*"<>|', "what______-"),
    ],
)
def test_a_key_that_does_not_fit_is_changed_and_marked(key: str, start: str) -> None:
    made = name(key)
    assert made.startswith(start)
    mark = made.removeprefix(start).removesuffix(".mp4")
    assert len(mark) == 8
    assert int(mark, 16) >= 0


def test_keys_that_are_changed_to_the_same_stay_apart() -> None:
    names = {name(key) for key in ("a/b", "a_b", "a:b", "a\\b")}
    assert len(names) == 4


def test_long_keys_stay_apart_by_their_mark() -> None:
    names = {name("長" * 300 + end) for end in "ab"}
    assert len(names) == 2
    assert all(len(made.encode()) <= LONGEST for made in names)


@UNHURRIED
@given(st.text(max_size=400), st.integers(1, 99), st.integers(1, 99), st.text(max_size=20))
def test_every_name_is_safe_everywhere(key: str, n: int, of: int, content_type: str) -> None:
    made = file_name(key, n, of, url=URL, content_type=content_type)
    assert Path("folder", made).resolve().parent == Path("folder").resolve()
    assert PureWindowsPath(made).name == made
    assert not PureWindowsPath(made).is_reserved()
    assert not made.startswith((".", " "))
    assert not made.endswith((".", " "))
    assert len(made.encode()) <= LONGEST
    assert unicodedata.is_normalized("NFC", made)
    assert made == file_name(key, n, of, url=URL, content_type=content_type)


@UNHURRIED
@given(st.lists(st.text(max_size=30), unique=True, min_size=2, max_size=6))
def test_different_keys_have_different_names(keys: list[str]) -> None:
    normal = {unicodedata.normalize("NFC", key) for key in keys}
    assert len({name(key) for key in keys}) >= len(normal)


@pytest.mark.parametrize(
    ("url", "content_type", "suffix"),
    [
        ("https://a.example/b.MP4", None, ".mp4"),
        ("https://a.example/b.webm?x=.exe", "video/mp4", ".webm"),
        ("https://a.example/b%2Emp4", None, ".mp4"),
        ("https://a.example/b", "Video/MP4; codecs=avc1", ".mp4"),
        ("https://a.example/b.php", "image/png", ".png"),
        ("https://a.example/b.exe", None, ".bin"),
        ("https://a.example/view?filename=a.mp4", "binary/octet-stream", ".bin"),
        ("https://[bad", "audio/wav", ".wav"),
        ("https://a.example/..%2F..%2Fx.png%00.sh", None, ".bin"),
    ],
)
def test_the_suffix_comes_from_the_url_then_from_the_type(
    url: str, content_type: str | None, suffix: str
) -> None:
    assert file_name("a", url=url, content_type=content_type) == f"a{suffix}"


def test_media_types_lose_their_parameters() -> None:
    assert media_type(" Text/HTML ; charset=utf-8") == "text/html"
    assert media_type(None) == ""
    assert suffix_in("https://a.example/b") == ""


# --- places from a manifest -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        ("anna", "anna"),
        ("Anna/take 1", "Anna/take 1"),
        ("夜/街", "夜/街"),
        ("a//b", "a/b"),
        ("/a/b", "a/b"),
        ("./a/../b", "a/b"),
        ("../../etc/passwd", "etc/passwd"),
        ("..", "job"),
        ("", "job"),
        ("v1.5/x", "v1.5/x"),
    ],
)
def test_a_place_stays_below_its_folder(wanted: str, made: str) -> None:
    assert place(wanted) == PurePosixPath(made)


@UNHURRIED
@given(st.text(max_size=60))
def test_no_part_of_a_place_is_unsafe(wanted: str) -> None:
    made = place(wanted)
    assert not made.is_absolute()
    for part in made.parts:
        assert part == stem(part, LONGEST)
        assert part.strip(". ") == part
        assert not set(part) & set('<>:"\\|?*')
