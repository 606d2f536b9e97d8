"""Short names for inputs."""

import pytest

from overnight.catalog import AmbiguousAlias, Model, bundled_catalog
from overnight.catalog.aliases import slug, without_nodes

SEED = bundled_catalog().find("community/wan-2-1/fusionx/image-to-video")


@pytest.mark.parametrize(
    ("word", "raw"),
    [
        ("seed", "598_seed"),
        ("598_seed", "598_seed"),
        ("steps", "598_steps"),
        ("resolution", "602_widthx602_height"),
        ("widthxheight", "602_widthx602_height"),
        ("cfg", "598_cfg"),
        ("guidance_scale", "598_cfg"),
        ("num_frames", "602_num_frames"),
        ("number_of_frames", "602_num_frames"),
        ("frame_rate", "609_frame_rate"),
        ("frames_per_second", "609_frame_rate"),
        ("prompt", "600_prompt"),
        ("image", "608_image"),
    ],
)
def test_names_of_the_seed_model(word: str, raw: str) -> None:
    assert SEED.resolve(word) == raw


def test_a_name_nobody_has_is_none() -> None:
    assert SEED.resolve("Seed") is None
    assert SEED.resolve("width") is None


def test_the_shortest_name_is_the_one_people_see() -> None:
    shown = [SEED.shortest(spec.name) for spec in SEED.inputs]
    assert shown == [
        *("prompt", "image", "seed", "resolution", "steps", "cfg", "shift"),
        *("num_frames", "frame_rate"),
    ]


def test_a_name_two_inputs_would_share_is_nobodys() -> None:
    model = Model.from_schema(
        "m",
        {"properties": {"10_seed": {"type": "integer"}, "20_seed": {"type": "integer"}}},
    )
    with pytest.raises(AmbiguousAlias, match="10_seed or 20_seed"):
        model.resolve("seed")
    assert model.shortest("10_seed") == "10_seed"
    assert model.resolve("20_seed") == "20_seed"


def test_a_raw_name_always_means_its_own_input() -> None:
    model = Model.from_schema(
        "m",
        {
            "properties": {
                "cfg": {"type": "number", "title": "Strength"},
                "7_cfg": {"type": "number", "title": "Other"},
            }
        },
    )
    assert model.resolve("cfg") == "cfg"
    assert model.resolve("other") == "7_cfg"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("598_seed", "seed"),
        ("602_widthx602_height", "widthxheight"),
        ("max2_tokens", "max2_tokens"),
        ("prompt", "prompt"),
    ],
)
def test_node_numbers_are_dropped(raw: str, name: str) -> None:
    assert without_nodes(raw) == name


@pytest.mark.parametrize(
    ("title", "word"),
    [
        ("Resolution (W:H)", "resolution"),
        ("Guidance Scale", "guidance_scale"),
        ("プロンプト", "プロンプト"),
        ("", ""),
        ("(x)", ""),
    ],
)
def test_titles_as_one_word(title: str, word: str) -> None:
    assert slug(title) == word


@pytest.mark.parametrize(
    ("raw", "title", "best"),
    [
        # A name without node numbers is as good as a title, and shorter words win.
        ("image_url", "First Frame", "image_url"),
        ("num_inference_steps", "Steps", "steps"),
        ("598_cfg", "Guidance Scale", "cfg"),
        ("7_x", "A Very Long Title", "x"),
        ("motion", "", "motion"),
    ],
)
def test_the_best_name_is_the_shortest_without_node_numbers(
    raw: str, title: str, best: str
) -> None:
    model = Model.from_schema("m", {"properties": {raw: {"title": title}}})
    assert model.shortest(raw) == best
    assert model.resolve(best) == raw
