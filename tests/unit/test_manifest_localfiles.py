"""Local files as inputs: what a job has in their place, what is wrong with them, and settings."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from overnight.manifest import AssetSettings
from overnight.manifest.localfiles import LARGEST_DATA_URI
from tests.unit.manifests import Bench, marks

STORE = "assets: {store: s3://bucket/in}\n"
PROMPT = "inputs: {prompt: a boat}\n"


def picture(color: str = "red", side: int = 8, kind: str = "PNG") -> bytes:
    """A small picture."""
    out = io.BytesIO()
    Image.new("RGB", (side, side // 2), color).save(out, kind)
    return out.getvalue()


def refer(content: bytes, suffix: str = ".png") -> str:
    return f"asset:{hashlib.sha256(content).hexdigest()}{suffix}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


INCLUDE = "include: [{image: refs/a.png}, {image: refs/b.png}]"
RULE = "rules: [{when: {seed: 2}, set: {image: refs/b.png}}]"


def put(bench: Bench, name: str, content: bytes) -> Path:
    path = bench.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def images(bench: Bench, text: str) -> list[str]:
    return [spec.inputs["608_image"] for spec in bench.jobs(text)]


# --- what a job has -------------------------------------------------------------------------------


def test_a_path_becomes_a_reference_and_stays_where_people_look(bench: Bench) -> None:
    path = put(bench, "refs/Anna.png", picture())
    text = STORE + PROMPT + "matrix: {image: [refs/Anna.png]}\n"
    manifest = bench.read(text)
    [spec] = manifest.specs()
    assert spec.inputs["608_image"] == refer(picture())
    assert spec.variables == {"image": "refs/Anna.png"}
    assert spec.key.startswith("anna-")
    [(reference, file)] = manifest.local_files().items()
    assert (reference, file.path, file.size) == (refer(picture()), path, len(picture()))


def test_moved_is_the_same_job_and_edited_is_another(bench: Bench) -> None:
    text = STORE + "inputs: {prompt: a boat, image: %s}\n"
    put(bench, "a.png", picture())
    put(bench, "elsewhere/b.jpeg.png", picture())
    put(bench, "c.png", picture("blue"))
    a, moved, edited = (bench.jobs(text % n) for n in ("a.png", "elsewhere/b.jpeg.png", "c.png"))
    assert marks(a) == marks(moved) != marks(edited)


def test_the_content_and_not_the_name_says_the_kind(bench: Bench) -> None:
    put(bench, "really-a-jpeg.png", picture(kind="JPEG"))
    text = STORE + "inputs: {prompt: a boat, image: really-a-jpeg.png}\n"
    assert images(bench, text) == [refer(picture(kind="JPEG"), ".jpg")]


@pytest.mark.parametrize(
    "text",
    [
        "matrix: {image: [refs/a.png, refs/b.png]}",
        'matrix: {image: {glob: "refs/*.png"}}',
        "matrix: {image: {lines: list.txt}}",
        "matrix: {image: [{label: A, value: refs/a.png}, {label: B, value: refs/b.png}]}",
        "matrix: {l: [{label: A, set: {image: refs/a.png}}, {label: B, set: {image: refs/b.png}}]}",
        "rows: {file: shots.csv}",
        "matrix: {who: [a, b]}\ninputs: {prompt: a boat, image: 'refs/{{ who }}.png'}",
        f"matrix: {{seed: [1]}}\nexclude: [{{seed: 1}}]\n{INCLUDE}",
        f"matrix: {{seed: [1, 2]}}\ninputs: {{prompt: a boat, image: refs/a.png}}\n{RULE}",
    ],
)
def test_wherever_a_value_may_stand(bench: Bench, text: str) -> None:
    put(bench, "refs/a.png", picture("red"))
    put(bench, "refs/b.png", picture("blue"))
    bench.file("list.txt", "refs/a.png\nrefs/b.png\n")
    bench.file("shots.csv", "image\nrefs/a.png\nrefs/b.png\n")
    head = STORE + ("" if "inputs:" in text else PROMPT)
    assert images(bench, head + text + "\n") == [refer(picture("red")), refer(picture("blue"))]


def test_a_file_is_read_once_a_load(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from overnight.assets import local

    looked: list[Path] = []
    look = local.look

    def counted(path: Path) -> local.LocalFile:
        looked.append(path)
        return look(path)

    monkeypatch.setattr(local, "look", counted)
    put(bench, "a.png", picture())
    rows = "".join(f"{seed},{'./' * (seed % 2)}a.png\n" for seed in range(1, 60))
    bench.file("shots.csv", "seed,image\n" + rows)
    assert set(images(bench, STORE + PROMPT + "rows: {file: shots.csv}\n")) == {refer(picture())}
    assert looked == [bench.folder / "a.png"]


def test_urls_and_examples_stay_as_they_are(bench: Bench) -> None:
    text = (
        STORE + PROMPT + "matrix: {image: [https://a.test/b.png, RunComfy_examples_1235_1.png]}\n"
    )
    assert images(bench, text) == ["https://a.test/b.png", "RunComfy_examples_1235_1.png"]


def test_checks_that_are_off_send_local_files_all_the_same(bench: Bench) -> None:
    put(bench, "a.png", picture())
    text = STORE + "validate: off\ninputs: {prompt: a boat, image: a.png}\n"
    assert images(bench, text) == [refer(picture())]


# --- fit ------------------------------------------------------------------------------------------


def test_only_a_larger_picture_is_scaled_and_then_it_is_another_input(bench: Bench) -> None:
    put(bench, "small.png", picture(side=64))
    put(bench, "large.png", picture(side=65))
    put(bench, "photo.jpg", picture(side=65, kind="JPEG"))
    fit = "assets: {store: s3://bucket/in, fit: {max_side: 64}}\n"
    small, large, photo = images(
        bench, fit + PROMPT + "matrix: {image: [small.png, large.png, photo.jpg]}\n"
    )
    assert small == refer(picture(side=64))
    assert large == refer(picture(side=65)).replace(".png", "@64.png")
    assert photo == refer(picture(side=65, kind="JPEG"), "@64.jpg")


# --- what is wrong --------------------------------------------------------------------------------


def wrong(bench: Bench, name: str, settings: str = STORE) -> tuple[str, int]:
    problem = bench.problem(settings + f"inputs:\n  prompt: a boat\n  image: {name}\n")
    return problem.message, problem.line


def test_a_path_without_assets_says_to_set_them(bench: Bench) -> None:
    put(bench, "a.png", picture())
    problem = bench.problem("inputs: {prompt: a boat, image: a.png}\n")
    assert "is a local path" in problem.message
    assert "set assets:" in (problem.hint or "")


def test_what_can_not_be_sent_is_told_at_its_line(bench: Bench) -> None:
    put(bench, "text.png", b"<html>not found</html>")
    put(bench, "empty.png", b"")
    put(bench, "cut.png", picture(side=64)[:-20])
    put(bench, "clip.mp4", b"\x00\x00\x00\x18ftypisom" + bytes(64))
    (bench.folder / "folder.png").mkdir()
    found = {
        name: wrong(bench, name)
        for name in ("no.png", "text.png", "empty.png", "cut.png", "clip.mp4", "folder.png")
    }
    assert {line for _, line in found.values()} == {6}
    assert "there is no such file" in found["no.png"][0]
    assert "no image, video or sound" in found["text.png"][0]
    assert "is an empty file" in found["empty.png"][0]
    assert "damaged or cut off" in found["cut.png"][0]
    assert "is a video (mp4), and the input takes an image" in found["clip.mp4"][0]
    assert "is a folder" in found["folder.png"][0]


def test_a_cell_of_a_table_is_told_by_its_row(bench: Bench) -> None:
    bench.file("shots.csv", "image\nno.png\n")
    problem = bench.problem(STORE + PROMPT + "rows: {file: shots.csv}\n")
    assert problem.message.startswith("row 1: image is a local path, and there is no such file")


def test_a_template_is_told_with_what_it_was_made_of(bench: Bench) -> None:
    text = "matrix: {who: [a]}\ninputs: {prompt: x, image: 'refs/{{ who }}.png'}\n"
    problem = bench.problem(STORE + text)
    assert "there is no such file (where who is 'a')" in problem.message


def test_a_file_over_the_limit_is_told_before_it_is_read(bench: Bench) -> None:
    path = put(bench, "big.png", picture())
    with path.open("r+b") as file:
        file.truncate(51 * 1024 * 1024)  # sparse: nothing is written
    assert "51.0 MB, and 50 MB are allowed" in wrong(bench, "big.png")[0]
    with path.open("r+b") as file:
        file.truncate(LARGEST_DATA_URI + 1)
    assert "10 MB are allowed" in wrong(bench, "big.png", "assets: {data_uri: true}\n")[0]


def test_a_reference_can_not_be_written_by_hand(bench: Bench) -> None:
    assert "is a asset: address" in wrong(bench, refer(picture()))[0]


# --- settings -------------------------------------------------------------------------------------


def test_settings_are_read_and_kept(bench: Bench) -> None:
    def read(text: str) -> AssetSettings | None:
        picture_ = "inputs: {image: RunComfy_examples_1235_1.png, prompt: x}\n"
        return bench.read(f"assets: {text}\n{picture_}").assets

    assert read("{store: s3://bucket/in, presign: 2h}") == AssetSettings("s3://bucket/in", 7200.0)
    plain = read("{store: s3://bucket}")
    assert plain is not None
    assert plain.as_json() == {"store": "s3://bucket", "presign": 86400.0}
    public = read("{store: s3://bucket, public_base: 'https://cdn.test/in'}")
    assert public is not None
    assert public.as_json() == {"store": "s3://bucket", "public_base": "https://cdn.test/in"}
    inside = read("{data_uri: true, fit: {max_side: 2048}}")
    assert inside is not None
    assert (inside.as_json(), inside.max_side) == ({"data_uri": True}, 2048)


def test_the_environment_fills_in_what_differs_between_machines_and_no_secrets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "night-of-mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("SIDE", "512")
    rest = "inputs: {image: RunComfy_examples_1235_1.png, prompt: x}\n"
    filled = "assets: {store: 's3://${env:BUCKET}/in', fit: {max_side: '${env:SIDE}'}}\n"
    assets = bench.read(filled + rest).assets
    assert assets is not None
    assert (assets.store, assets.max_side) == ("s3://night-of-mine/in", 512)
    problem = bench.problem("assets:\n  store: s3://${env:AWS_SECRET_ACCESS_KEY}/in\n" + rest)
    assert "is named like a secret" in problem.message
    assert (problem.line, problem.column) == (4, 15)
    monkeypatch.setenv("BUCKET", "No Bucket")
    assert "a bucket, such as s3://bucket/prefix" in bench.problem(filled + rest).message


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{}", "where files are uploaded"),
        ("", "assets is empty"),
        ("s3://bucket", "assets must be a mapping"),
        ("{store: https://bucket}", "a bucket, such as s3://bucket/prefix"),
        ("{store: 's3://user:password@bucket/x'}", "a bucket, such as"),
        ("{store: s3://bucket/in/../out}", "a bucket, such as"),
        ("{store: s3://bucket, presign: 8d}", "at most 7d"),
        ("{store: s3://bucket, presign: 30}", "a time with its unit"),
        ("{store: s3://bucket, data_uri: true}", "no use beside data_uri"),
        ("{store: s3://bucket, public_base: 'http://x.test'}", "an https address"),
        ("{store: s3://bucket, public_base: 'https://x.test', presign: 1h}", "beside public_base"),
        ("{public_base: 'https://x.test'}", "where files are uploaded"),
        ("{store: s3://bucket, fit: {}}", '"max_side" is missing'),
        ("{store: s3://bucket, fit: {max_side: 9000}}", "at most 4096"),
        ("{store: s3://bucket, fit:}", "fit is empty"),
        ("{data_uri: yes}", "must be true or false"),
        ("{stor: s3://bucket}", 'there is no key "stor"'),
    ],
)
def test_settings_that_make_no_sense(bench: Bench, written: str, said: str) -> None:
    text = f"assets: {written}\ninputs: {{image: RunComfy_examples_1235_1.png, prompt: x}}\n"
    assert any(said in problem.message for problem in bench.problems(text))
