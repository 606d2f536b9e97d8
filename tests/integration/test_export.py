"""What is exported is read back by the loaders that people use, offline and without decoding."""

from __future__ import annotations

import gc
import importlib
import json
import re
import shlex
import sqlite3
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from overnight.cli.exits import Exit
from overnight.cli.export import FORMATS
from overnight.cli.main import run
from overnight.cli.options import DB_VARIABLE
from overnight.emulator import Emulator, Settings, Span
from overnight.export.rows import COLUMNS
from overnight.store.database import Database, open_database
from tests.integration.cli_shell import Shell
from tests.unit.export_batch import MODEL, Spec, clip, failed, fill
from tests.unit.test_manifest_localfiles import picture

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
SPLIT = ("--split", "train=0.7,test=0.3")
EXAMPLE = "RunComfy_examples_1235_1.png"


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The real loaders. What they read from the environment they read when they are imported."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        for name, value in OFFLINE.items():
            environment.setenv(name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what they import themselves
            module = importlib.import_module("datasets")
        module.disable_progress_bars()
        yield module


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    path = tmp_path / "overnight.db"
    monkeypatch.setenv(DB_VARIABLE, str(path))
    monkeypatch.chdir(tmp_path)
    with open_database(str(path), create=True) as opened:
        yield opened


@pytest.fixture
def night(database: Database) -> Database:
    """A batch with what makes loaders stumble: unequal inputs, a value that only some jobs have,
    texts that look like dates, empty lists, a dot in a name, and jobs that came to nothing."""
    specs = [
        clip(
            n,
            variables={
                "seed": n,
                "day": "2024-01-01",
                "style": "Film" if n == 1 else None,
                "mix": n if n % 2 else "even",
                "cfg": 1 if n % 2 else 1.5,
                "rare": {1: 1, 2: "x"}.get(n),
            },
            tags=("first",) if n == 1 else (),
            cost=0.05 if n == 1 else None,
        )
        for n in range(12)
    ]
    specs[3].files = {"cfg1.5/seed3.mp4": b"clip three" * 9}
    fill(database, [*specs, failed(20), failed(21, "unknown"), failed(22, "pending")])
    return database


def load(datasets: ModuleType, folder: Path, tmp_path: Path) -> Any:
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def kinds(features: Any) -> dict[str, str]:
    """The types of the columns that matter, as the loader has them."""
    inputs, variables = features["inputs"], features["variables"]
    return {
        "cost": features["cost"].dtype,
        "tags": features["tags"].feature.dtype,
        "attempts": features["attempts"].dtype,
        "submitted_at": features["submitted_at"].dtype,
        "input_image": features["input_image"].dtype,
        "seed": inputs["seed"].dtype,
        "prompt": inputs["prompt"].dtype,
        "cfg": variables["cfg"].dtype,
        "mix": variables["mix"].dtype,
        "style": variables["style"].dtype,
    }


EXPECTED = {
    "cost": "float64",
    "tags": "string",
    "attempts": "int64",
    "submitted_at": "string",
    "input_image": "string",
    "seed": "int64",
    "prompt": "string",
    "cfg": "float64",
    "mix": "string",
    "style": "string",
}


# --- folders --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("night")
def test_a_videofolder_loads_with_the_types_one_expects(
    datasets: ModuleType, tmp_path: Path
) -> None:
    assert run(["export", "--to", "set", "--format", "videofolder"]) == Exit.DONE
    loaded = load(datasets, tmp_path / "set", tmp_path)
    assert list(loaded) == ["train"]
    train = loaded["train"]
    assert isinstance(train.features["video"], datasets.Video)
    assert kinds(train.features) == EXPECTED
    rows = list(train.cast_column("video", datasets.Video(decode=False)))
    assert len(rows) == 12
    by_key = {row["key"]: row for row in rows}
    for row in rows:
        assert row["inputs"]["image"] == row["input_image"] == "RunComfy_examples_1235_1.png"
        clip_path = Path(row["video"]["path"])
        assert clip_path.stat().st_size == row["bytes"]
        assert row["variables"]["day"] == '"2024-01-01"'
    assert Path(by_key["seed3"]["video"]["path"]).name == "cfg1.5-seed3.mp4"
    assert by_key["seed1"]["tags"] == ["first"]
    assert [by_key[f"seed{n}"]["variables"]["mix"] for n in (1, 2)] == ["1", '"even"']


@pytest.mark.usefixtures("night")
def test_splits_load_although_one_of_them_lacks_values(
    datasets: ModuleType, tmp_path: Path
) -> None:
    assert run(["export", "--to", "set", "--format", "videofolder", *SPLIT]) == Exit.DONE
    loaded = load(datasets, tmp_path / "set", tmp_path)
    assert set(loaded) == {"train", "test"}
    assert loaded["train"].features == loaded["test"].features
    plain = [part.cast_column("video", datasets.Video(decode=False)) for part in loaded.values()]
    rows = {row["key"]: row for part in plain for row in part}
    assert set(rows) == {f"seed{n}" for n in range(12)}
    # Only one job has a cost, so one of the two splits has none: text in both.
    assert (rows["seed1"]["cost"], rows["seed2"]["cost"]) == ("0.05", "null")
    assert [rows[f"seed{n}"]["variables"]["rare"] for n in (1, 2, 3)] == ["1", '"x"', ""]
    assert [rows[f"seed{n}"]["variables"]["style"] for n in (1, 2)] == ["Film", ""]
    assert rows["seed1"]["tags"] == '["first"]'


def test_an_imagefolder_loads(datasets: ModuleType, database: Database, tmp_path: Path) -> None:
    fill(database, [clip(n, suffix=".png", content_type="image/png") for n in range(4)])
    assert run(["export", "--to", "set", "--format", "imagefolder"]) == Exit.DONE
    train = load(datasets, tmp_path / "set", tmp_path)["train"]
    assert isinstance(train.features["image"], datasets.Image)
    rows = list(train.cast_column("image", datasets.Image(decode=False)))
    assert sorted(Path(row["image"]["path"]).name for row in rows) == [
        f"seed{n}.png" for n in range(4)
    ]
    assert {row["input_image"] for row in rows} == {"RunComfy_examples_1235_1.png"}


def test_a_variable_named_like_a_file_is_no_file_to_the_loader(
    datasets: ModuleType, database: Database, tmp_path: Path
) -> None:
    fill(database, [clip(n, variables={"shot_file_name": f"shot{n}"}) for n in range(2)])
    assert run(["export", "--to", "set", "--format", "videofolder"]) == Exit.DONE
    features = load(datasets, tmp_path / "set", tmp_path)["train"].features
    assert features["variables"] == {"shot_filename": datasets.Value("string")}


def test_the_loaders_know_the_suffixes_that_we_say_they_know(datasets: ModuleType) -> None:
    from overnight.export import features

    loaders = importlib.import_module("datasets.packaged_modules")
    assert loaders is not None
    clips = importlib.import_module("datasets.packaged_modules.videofolder.videofolder")
    pictures = importlib.import_module("datasets.packaged_modules.imagefolder.imagefolder")
    assert set(clips.VIDEO_EXTENSIONS) == features.VIDEO
    assert set(pictures.IMAGE_EXTENSIONS) >= features.IMAGE
    tars = importlib.import_module("datasets.packaged_modules.webdataset.webdataset")
    assert {f".{one}" for one in tars.AUDIO_EXTENSIONS} >= features.AUDIO
    assert datasets.__version__


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_tables_load_with_their_structs_and_types(
    name: str, datasets: ModuleType, tmp_path: Path
) -> None:
    assert run(["export", "--to", "set", "--format", name, *SPLIT]) == Exit.DONE
    loaded = load(datasets, tmp_path / "set", tmp_path)
    for part in loaded.values():
        assert kinds(part.features) == EXPECTED
    if name == "parquet":
        loaded = loaded.cast_column("video", datasets.Video(decode=False))
    rows = {row["key"]: row for part in loaded.values() for row in part}
    assert len(rows) == 12
    assert rows["seed1"]["variables"]["style"] == "Film"
    assert rows["seed2"]["cost"] is None
    for row in rows.values():
        if name == "jsonl":
            content = (tmp_path / "set" / row["file_name"]).read_bytes()
        else:
            content = row["video"]["bytes"]
            assert row["video"]["path"] == row["file_name"]
        assert len(content) == row["bytes"]
        assert content.startswith(b"clip ")


@pytest.mark.usefixtures("night")
def test_a_csv_loads_flat(datasets: ModuleType, tmp_path: Path) -> None:
    assert run(["export", "--to", "set", "--format", "csv"]) == Exit.DONE
    train = load(datasets, tmp_path / "set", tmp_path)["train"]
    assert train.features["inputs.seed"].dtype == "int64"
    assert train.features["cost"].dtype == "float64"
    assert train.features["variables.day"].dtype == "string"
    rows = {row["key"]: row for row in train}
    assert rows["seed1"]["inputs.prompt"] == "Käfig 1 日本 🌙"
    assert rows["seed1"]["tags"] == '["first"]'
    assert rows["seed2"]["cost"] is None
    assert (tmp_path / "set" / rows["seed3"]["file_name"]).read_bytes() == b"clip three" * 9


def test_words_that_csv_readers_take_for_nothing_stay_words(
    datasets: ModuleType, database: Database, tmp_path: Path
) -> None:
    fill(database, [clip(n, variables={"word": word}) for n, word in enumerate(["None", "NA"])])
    assert run(["export", "--to", "set", "--format", "csv"]) == Exit.DONE
    train = load(datasets, tmp_path / "set", tmp_path)["train"]
    assert sorted(train["variables.word"]) == ["NA", "None"]


# --- tars -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("night")
def test_tars_load_with_datasets(datasets: ModuleType, tmp_path: Path) -> None:
    arguments = ["export", "--to", "set", "--format", "webdataset", "--shard-count", "5"]
    assert run(arguments) == Exit.DONE
    assert sorted(one.name for one in (tmp_path / "set" / "data").glob("*.tar")) == [
        f"train-{n:06}.tar" for n in range(3)
    ]
    train = load(datasets, tmp_path / "set", tmp_path)["train"]
    assert isinstance(train.features["mp4"], datasets.Video)
    assert kinds(train.features["json"]) == EXPECTED
    rows = {row["__key__"]: row for row in train.cast_column("mp4", datasets.Video(decode=False))}
    assert len(rows) == 12
    assert rows["cfg1_5-seed3"]["mp4"]["bytes"] == b"clip three" * 9
    assert rows["cfg1_5-seed3"]["json"]["key"] == "seed3"


# Its reader leaves a tar open at the end.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("night")
def test_tars_stream_with_webdataset(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports, before anything of ours is read
        webdataset = importlib.import_module("webdataset")
    arguments = ["export", "--to", "set", "--format", "webdataset", "--shard-count", "5"]
    assert run(arguments) == Exit.DONE
    tars = sorted(str(one) for one in (tmp_path / "set" / "data").glob("*.tar"))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False))
    gc.collect()
    assert len(samples) == 12
    for sample in samples:
        assert {name for name in sample if not name.startswith("__")} == {"json", "mp4"}
        row = json.loads(sample["json"])
        assert row["bytes"] == len(sample["mp4"])
        assert row["file_name"] == f"{sample['__key__']}.mp4"


# --- failures, and a file to browse ---------------------------------------------------------------


@pytest.mark.usefixtures("night")
def test_failures_are_rows_of_a_manifest_that_makes_the_same_jobs(
    database: Database, tmp_path: Path
) -> None:
    from overnight.manifest import read_manifest

    assert run(["export", "--to", "set", "--format", "jsonl"]) == Exit.DONE
    (tmp_path / "again.yaml").write_text(
        f"version: 1\nname: again\nmodel: {MODEL}\nrows: {{file: set/failures.jsonl}}\n"
    )
    specs = list(read_manifest(tmp_path / "again.yaml").specs())
    wanted = [failed(20).inputs, failed(21).inputs]
    assert [dict(sorted(spec.inputs.items())) for spec in specs] == [
        dict(sorted(inputs.items())) for inputs in wanted
    ]


async def test_failures_with_local_files_are_rows_that_make_the_same_jobs(tmp_path: Path) -> None:
    """Also where the new manifest is in another folder, and the picture was moved meanwhile."""
    refs = tmp_path / "refs"
    refs.mkdir()
    (refs / "anna.png").write_bytes(picture())
    async with Emulator(
        Settings(slots=2, media="clip", fetch_inputs=True), faults=["submit:job-fails@2x,after=1"]
    ) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(3, attempts=1)
        text = (tmp_path / "jobs.yaml").read_text().replace(EXAMPLE, "refs/anna.png")
        (tmp_path / "jobs.yaml").write_text(f"{text}\nassets: {{data_uri: true}}\n")
        assert (await shell.run("run", "jobs.yaml", "--yes")).code == Exit.JOBS_FAILED
        (refs / "anna.png").rename(refs / "hanna.png")
        (tmp_path / "jobs.yaml").write_text(
            (tmp_path / "jobs.yaml").read_text().replace("anna.png", "hanna.png")
        )
        assert (await shell.run("load", "jobs.yaml")).code == Exit.DONE
        chosen = ("--where", 'image == "refs/hanna.png"')
        done = await shell.run("export", "--to", "set", "--format", "jsonl", *chosen)
        assert done.code == Exit.DONE, done
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "again.yaml").write_text(
            f"version: 1\nname: night\nmodel: {MODEL}\nrows: {{file: ../set/failures.jsonl}}\n"
            "assets: {data_uri: true}\n"
        )
        again = await shell.run("load", "elsewhere/again.yaml", "--dry-run", "--json")
        [said] = again.objects
        assert (said["existing"], said["new"]) == (2, 0)
    rows = [
        json.loads(line) for line in (tmp_path / "set" / "failures.jsonl").read_text().splitlines()
    ]
    assert {row["image"] for row in rows} == {str(refs / "hanna.png")}
    [sample] = [
        json.loads(line) for line in (tmp_path / "set" / "train.jsonl").read_text().splitlines()
    ]
    assert sample["inputs"]["image"] == sample["input_image"] == "refs/hanna.png"


@pytest.mark.usefixtures("night")
def test_a_sqlite_file_has_jobs_attempts_and_files(tmp_path: Path) -> None:
    assert run(["export", "--to", "set", "--format", "sqlite", *SPLIT]) == Exit.DONE
    with closing(sqlite3.connect(tmp_path / "set" / "jobs.db")) as connection:
        query = connection.execute
        assert query("PRAGMA foreign_key_check").fetchall() == []
        states = dict(query("SELECT key, left_out FROM jobs").fetchall())
        assert states == {
            **{f"seed{n}": None for n in range(12)},
            "seed20": "failed",
            "seed21": "unknown",
        }
        typed = query("SELECT typeof(inputs_seed), typeof(variables_cfg) FROM jobs").fetchone()
        assert typed == ("integer", "real")
        [size] = query(
            "SELECT files.bytes FROM files JOIN jobs ON jobs.id = job_id WHERE key = 'seed3'"
        ).fetchone()
        assert size == 90
        assert query("SELECT count(*) FROM attempts").fetchone() == (14,)
        plan = " ".join(
            row[3] for row in query("EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE state = 'x'")
        )
        assert "jobs_state" in plan


def test_two_models_with_inputs_of_different_kinds_load_together(
    datasets: ModuleType, database: Database, tmp_path: Path
) -> None:
    def other(n: int) -> Spec:
        inputs = {"prompt": "x", "seed": f"text {n}", "size": {"w": 8, "h": 9}, "list": [1, 2.5]}
        return clip(100 + n, model="some/other", inputs=inputs, variables={})

    fill(database, [*[clip(n) for n in range(4)], *[other(n) for n in range(4)]])
    assert run(["export", "--to", "set", "--format", "parquet"]) == Exit.DONE
    train = load(datasets, tmp_path / "set", tmp_path)["train"]
    rows = {row["key"]: row for row in train.remove_columns("video")}
    assert rows["seed1"]["inputs"]["seed"] == "1"
    assert rows["seed101"]["inputs"]["seed"] == '"text 1"'
    assert rows["seed101"]["inputs"]["size"] == {"h": 9, "w": 8}
    assert rows["seed101"]["inputs"]["list"] == [1.0, 2.5]
    assert rows["seed1"]["inputs"]["size"] is None


# --- the page -------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text("utf-8")


async def test_what_the_page_says_to_type_makes_data_sets(
    datasets: ModuleType, tmp_path: Path
) -> None:
    [block] = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    async with Emulator(Settings(slots=2, service=Span(0.05, 0.1), media="clip")) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(5)
        for line in block.splitlines():
            program, *words = shlex.split(line.removeprefix("$ "))
            assert program == "overnight"
            done = await shell.run(*words)
            assert done.code == 0, done.err
    loaded = load(datasets, tmp_path / "sets" / "night", tmp_path)
    assert sum(part.num_rows for part in loaded.values()) == 5
    assert 'load_dataset("sets/night")' in PAGE
    for name in ("table", "tars"):
        assert load(datasets, tmp_path / "sets" / name, tmp_path)["train"].num_rows == 5


def test_the_page_has_every_format_and_every_column() -> None:
    cells = re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
    first, rest = cells[0], cells[1:]
    assert first == "`--format`"
    names = [name for cell in rest for name in re.findall(r"`([^`]+)`", cell)]
    assert set(names) == {*FORMATS, *COLUMNS}
    assert len(names) == len(FORMATS) + len(COLUMNS)


def test_a_second_try_reads_like_the_page_says(tmp_path: Path) -> None:
    from overnight.manifest import read_manifest

    [block] = re.findall(r"^  ```yaml\n(.*?)^  ```", PAGE, re.DOTALL | re.MULTILINE)
    row = {"seed": 7, "prompt": "x", "image": "RunComfy_examples_1235_1.png"}
    failures = tmp_path / "sets" / "night" / "failures.jsonl"
    failures.parent.mkdir(parents=True)
    states = ("failed", "unknown")
    failures.write_text("".join(json.dumps({**row, "job_state": one}) + "\n" for one in states))
    (tmp_path / "again.yaml").write_text(textwrap.dedent(block))
    [spec] = read_manifest(tmp_path / "again.yaml").specs()
    assert spec.inputs["598_seed"] == 7
