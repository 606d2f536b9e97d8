"""References by content, kinds of files, and pictures that are scaled."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from overnight.assets import kinds, local, pictures
from overnight.assets.local import LocalFileProblem
from overnight.assets.pictures import PictureProblem
from overnight.assets.reference import Reference, references, replaced

REFERENCES = st.builds(
    Reference,
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.sampled_from([".png", ".jpg", ".mp4", ".webm"]),
    st.none() | st.integers(1, 999_999),
)


@given(REFERENCES)
def test_a_reference_reads_as_it_is_written(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference
    assert str(reference) == f"asset:{reference.name}"


@given(st.text(max_size=90))
def test_no_other_text_is_a_reference(text: str) -> None:
    found = Reference.parse(text)
    assert found is None or str(found) == text


def test_references_are_found_in_lists_and_replaced() -> None:
    one, two = (str(Reference(digit * 64, ".png")) for digit in "ab")
    inputs = {"p": "a boat", "i": one, "more": [two, one, "https://x.test"], "n": 3}
    assert [str(found) for found in references(inputs)] == [one, two]
    assert replaced(inputs, {one: "u1", two: "u2"}) == {
        "p": "a boat",
        "i": "u1",
        "n": 3,
        "more": ["u2", "u1", "https://x.test"],
    }


@pytest.mark.parametrize(
    ("start", "suffix", "media"),
    [
        (b"\x89PNG\r\n\x1a\n", ".png", "image"),
        (b"\xff\xd8\xff\xe0", ".jpg", "image"),
        (b"RIFF\x00\x00\x00\x00WEBP", ".webp", "image"),
        (b"\x00\x00\x00\x18ftypavif", ".avif", "image"),
        (b"\x00\x00\x00\x18ftypqt  ", ".mov", "video"),
        (b"\x00\x00\x00\x18ftypisom", ".mp4", "video"),
        (b"\x00\x00\x00\x18ftypM4A ", ".m4a", "audio"),
        (b"\x1a\x45\xdf\xa3", ".webm", "video"),
        (b"RIFF\x00\x00\x00\x00WAVE", ".wav", "audio"),
        (b"ID3\x04", ".mp3", "audio"),
    ],
)
def test_kinds(start: bytes, suffix: str, media: str) -> None:
    kind = kinds.kind(start)
    assert kind is not None
    assert (kind.suffix, kind.media) == (suffix, media)


@pytest.mark.parametrize("start", [b"", b"GIF", b"Grand piano", b"<html>", b"{}", bytes(64)])
def test_what_is_no_kind(start: bytes) -> None:
    assert kinds.kind(start) is None


@given(st.binary(max_size=64))
def test_any_content_has_a_kind_or_none(start: bytes) -> None:
    kind = kinds.kind(start)
    assert kind is None or kind.media in ("image", "video", "audio")


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_scaling_keeps_the_shape(mode: str, kind: str) -> None:
    try:
        content = encoded(Image.new(mode, (300, 100)), kind)
    except (OSError, ValueError):
        pytest.skip(f"there is no {kind} of {mode}")
    with Image.open(io.BytesIO(pictures.scaled(content, 150))) as scaled:
        scaled.load()
        assert scaled.size == (150, 50)
        assert scaled.format == ("JPEG" if kind == "JPEG" else "PNG")


def test_a_picture_is_turned_as_its_camera_noted() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    content = encoded(Image.new("RGB", (200, 100)), "JPEG", exif=exif)
    with Image.open(io.BytesIO(pictures.scaled(content, 100))) as scaled:
        assert scaled.size == (50, 100)
        assert 0x0112 not in scaled.getexif()


def test_one_that_moves_is_left_alone(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (100, 100), color) for color in ("red", "blue")]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert local.look(path).reference(64).max_side is None


def test_a_phone_s_photo_with_a_second_picture_behind_it_is_scaled_like_any(tmp_path: Path) -> None:
    photo, depth = Image.new("RGB", (200, 100), "red"), Image.new("RGB", (50, 25))
    path = tmp_path / "photo.jpg"
    photo.save(path, "MPO", save_all=True, append_images=[depth])
    reference = local.look(path).reference(64)
    assert (reference.max_side, reference.suffix) == (64, ".jpg")
    with Image.open(io.BytesIO(pictures.scaled(path.read_bytes(), 64))) as scaled:
        assert (scaled.format, scaled.size) == ("JPEG", (64, 32))


def test_a_picture_that_nobody_here_can_measure_is_not_sent_as_if_it_were_scaled(
    tmp_path: Path,
) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    found = local.look(path)
    assert found.reference().suffix == ".heic"
    with pytest.raises(LocalFileProblem, match="a heic picture that can't be read here"):
        found.reference(64)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_cut_picture_is_told(kind: str, tmp_path: Path) -> None:
    noise = Image.effect_noise((200, 200), 80)
    path = tmp_path / "cut"
    whole = encoded(noise, kind)
    path.write_bytes(whole)
    assert local.look(path).longest_side == 200
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(LocalFileProblem, match="cut off"):
        local.look(path)


def test_a_picture_of_too_many_pixels_is_not_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.new("L", (50, 50)), "PNG"))
    with pytest.raises(PictureProblem, match="too many pixels"):
        pictures.longest_side(path)
