"""What a job costs and how much work it is, as far as the catalogue and its inputs tell."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.catalog import Model, Origin, bundled_catalog
from overnight.catalog.entry import read_entry
from overnight.catalog.estimates import price, work
from overnight.catalog.measures import pixels, seconds

SEED = bundled_catalog().find("community/wan-2-1/fusionx/image-to-video")


def model(unit: object, amount: object = 0.05, /, **defaults: Any) -> Model:
    properties = {
        name: {"default": value} if value is not None else {} for name, value in defaults.items()
    }
    return Model.from_entry(
        read_entry(
            {
                "model_id": "a/model",
                "base_price_usd": amount,
                "price_unit": unit,
                "input_schema": {"properties": properties},
            },
            origin=Origin.FETCHED,
        )
    )


def test_the_bundled_model_has_no_known_price() -> None:
    assert SEED.price is None
    assert price(SEED, {"598_steps": 10}) is None


@pytest.mark.parametrize(
    ("listed", "inputs", "expected"),
    [
        (model("output"), {}, 0.05),
        (model(" Output "), {}, 0.05),
        (model("output", num_images=1), {"num_images": 4}, 0.2),
        (model("output", num_images=3), {}, 0.15),
        (model("output", num_images=None), {}, None),
        (model("second", duration=None), {"duration": 5}, 0.25),
        (model("second", duration=None), {"duration": "8s"}, 0.4),
        (model("second", duration="4"), {}, 0.2),
        (model("second", duration=None), {}, None),
        (model("second", duration=5), {"duration": 0}, None),
        (model("second", duration=5), {"duration": "auto"}, None),
        (model("second", num_frames=80, fps=16), {}, 0.25),
        (model("second", num_frames=80, fps=16), {"fps": 8}, 0.5),
        (model("second", num_frames=80), {}, None),
        (model("second", duration=5, num_videos=2), {}, 0.5),
        (model("second"), {}, None),
        (model("token"), {}, None),
        (model(None), {}, None),
        (model("output", None), {}, None),
        (model("output", True), {}, None),
        (model("output", -1), {}, None),
        (model("output", float("nan")), {}, None),
        (model("output", 10**400), {}, None),
        (model("output", "0.05"), {}, None),
        (model("output", 0), {}, 0.0),
    ],
)
def test_a_price_is_the_catalogues_or_unknown(
    listed: Model, inputs: dict[str, Any], expected: float | None
) -> None:
    found = price(listed, inputs)
    assert found == (None if expected is None else pytest.approx(expected))


def test_frames_and_rate_are_found_by_their_short_names() -> None:
    assert seconds(SEED, {}) == pytest.approx(81 / 16)
    assert seconds(SEED, {"602_num_frames": 141, "609_frame_rate": 12}) == pytest.approx(141 / 12)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, 720 * 480),
        ({"602_widthx602_height": "1024x576 (16:9)"}, 1024 * 576),
        ({"602_widthx602_height": "square"}, None),
    ],
)
def test_pixels_are_read_from_a_text(inputs: dict[str, Any], expected: float | None) -> None:
    assert pixels(SEED, inputs) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [("720p", 1280 * 720), ("1080P", 1920 * 1080), ("4k", 3840 * 2160), (720, None)],
)
def test_pixels_of_a_named_resolution(size: object, expected: float | None) -> None:
    named = model("output", resolution=None)
    assert pixels(named, {"resolution": size}) == expected


def test_pixels_of_width_and_height() -> None:
    sized = model("output", width=640, height=None)
    assert pixels(sized, {"height": 480}) == 640 * 480
    assert pixels(sized, {}) is None


def test_work_is_steps_frames_and_pixels() -> None:
    base = work(SEED, {})
    assert base == 10 * 81 * 720 * 480
    assert work(SEED, {"598_steps": 20}) == 2 * base
    assert work(SEED, {"602_num_frames": 141}) == base / 81 * 141
    assert work(model("output", prompt=None), {"prompt": "a boat"}) == 1.0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    inputs=st.dictionaries(
        st.sampled_from(["598_steps", "602_num_frames", "609_frame_rate", "602_widthx602_height"]),
        json_values,
    )
)
def test_whatever_stands_in_an_input_work_is_a_positive_number(inputs: dict[str, Any]) -> None:
    assert work(SEED, inputs) > 0


@given(value=json_values)
def test_a_price_by_the_second_is_never_negative_and_never_guessed(value: object) -> None:
    found = price(model("second", duration=None), {"duration": value})
    assert found is None or found > 0
