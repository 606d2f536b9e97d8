"""The first bytes: what can't begin a file of its kind is seen without any decoder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.artifacts.heads import is_page
from overnight.assets.magic import problem

MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.mark.parametrize(
    ("start", "suffix"),
    [
        (MP4, ".mp4"),
        (b"\x00\x00\x00\x08wide" + bytes(100), ".mov"),
        (b"\x00\x00\x00\x20ftypavif" + bytes(100), ".avif"),
        (b"\x1a\x45\xdf\xa3" + bytes(100), ".webm"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", ".avi"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ".webp"),
        (PNG, ".png"),
        (b"\xff\xd8\xff\xe0", ".jpeg"),
        (b"GIF89a", ".gif"),
        # Kinds that begin in many ways, or that we don't know, are not judged.
        (b"\xff\xfb\x90", ".mp3"),
        (b"{}", ".json"),
        (b"whatever", ".bin"),
        (b"", ""),
    ],
)
def test_a_good_beginning(start: bytes, suffix: str) -> None:
    assert problem(start, suffix) is None


@pytest.mark.parametrize(
    ("start", "suffix", "words"),
    [
        (b"<!DOCTYPE html><html>", ".mp4", "it is text, and no mp4 file"),
        (b'{"error": "no"}', ".png", "it is text"),
        ("Désolé".encode()[:-1], ".webm", "it is text"),
        (PNG, ".mp4", "it does not begin as a mp4 file does"),
        (MP4, ".webm", "it does not begin as a webm file does"),
        (bytes(600), ".mp4", "it does not begin"),
        (b"", ".png", "it is text"),
    ],
)
def test_a_bad_beginning(start: bytes, suffix: str, words: str) -> None:
    assert words in str(problem(start, suffix))


@pytest.mark.parametrize(
    "start",
    [
        b"<!DOCTYPE html>",
        b"  \n<HTML lang=en>",
        b"\xef\xbb\xbf<!-- x --><head>",
        b'<?xml version="1.0"?><!DOCTYPE html PUBLIC',
        b"<!-- a --><!-- b --><body>",
    ],
)
def test_a_page_is_a_page_whatever_comes_before(start: bytes) -> None:
    assert is_page(start)


@pytest.mark.parametrize("start", [MP4, PNG, b"", b"<svg xmlns=", b"<!--", b"<?", b"no < page"])
def test_not_everything_is_a_page(start: bytes) -> None:
    assert not is_page(start)


@given(st.binary(max_size=600), st.sampled_from([".mp4", ".png", ".webm", ".jpg", ".txt", ""]))
def test_nothing_makes_it_fail(start: bytes, suffix: str) -> None:
    problem(start, suffix)
    is_page(start)
