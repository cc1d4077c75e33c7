"""Recipes: strict, complete, and those of this program are ones that can be trained."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from training import write_recipe

from stemsplit.errors import UsageError
from stemsplit.training.augment import make_chain
from stemsplit.training.initial import build_network
from stemsplit.training.losses import make_loss
from stemsplit.training.recipe_file import list_recipes, parse_settings, read_recipe
from stemsplit.training.run_folder import to_toml


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_of_this_program_has_a_network_a_loss_and_augmentations(name: str) -> None:
    recipe = read_recipe(name)
    model = build_network(recipe)
    make_loss(recipe.loss, model)
    make_chain(recipe.augment, sources=model.sources, sample_rate=model.sample_rate)
    assert tuple(recipe.network["sources"]) == tuple(model.sources)
    assert (recipe.segment or 1) * model.sample_rate <= model.segment or not model.fixed_segment


@pytest.mark.parametrize("name", ["unet", "open_unmix", "spleeter", "htdemucs"])
def test_each_architecture_has_its_published_settings_and_a_small_variant(name: str) -> None:
    published, small = read_recipe(name), read_recipe(f"{name}.small")
    assert published.architecture == small.architecture
    parameters = [
        sum(each.numel() for each in build_network(recipe).parameters())
        for recipe in (published, small)
    ]
    assert parameters[1] < parameters[0] / 10


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_survives_being_written_as_toml(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    path = tmp_path / "copy.toml"
    path.write_text(to_toml(recipe.plain()))
    assert read_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("optimizer.lrr=1", "unknown key optimizer.lrr", "did you mean optimizer.lr?"),
        ("stepz=1", "unknown key stepz", "did you mean steps?"),
        ("ema.0.dekay=1", "unknown key ema.0.dekay", "did you mean ema.0.decay?"),
        ("ema.5.decay=1", "--set ema.5.decay: there is no table 5", "tables count from 0"),
        ("steps=0", "steps must be at least 1, not 0", None),
        ("steps=many", "steps must be a whole number, not 'many'", None),
        ("steps=true", "steps must be a whole number, not True", None),
        ("compile=1", "compile must be true or false, not 1", None),
        ("optimizer=1", "optimizer must be a table, not 1", None),
        ("loss=1", "loss must be a list, not 1", None),
        ("optimizer.lr=0", "optimizer.lr must be above 0, not 0.0", None),
        ("precision=fp8", "precision must be 'fp32', 'bf16' or 'fp16', not 'fp8'", None),
        ("accumulate=3", "batch must be a multiple of accumulate, 3, not 2", None),
        ("checkpoint.keep=4", "checkpoint.keep must be a multiple of every, 3, not 4", None),
        ("schedule.name=cosine", "schedule.length must be the steps of the cosine, not 0", None),
        ("steps.more=1", "--set steps.more: steps is not a table", None),
    ],
)
def test_a_wrong_setting_is_refused_by_its_place(
    tmp_path: Path, setting: str, message: str, hint: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        read_recipe(str(write_recipe(tmp_path)), parse_settings([setting]))
    assert (caught.value.reason, caught.value.hint) == (message, hint)


def test_settings_replace_values_and_reach_into_lists(tmp_path: Path) -> None:
    pairs = ["optimizer.lr=5", "ema.1.decay=0.75", "network.widths=[2, 4]", "data.weigh=song"]
    recipe = read_recipe(str(write_recipe(tmp_path)), parse_settings(pairs))
    assert recipe.optimizer.lr == 5.0
    assert [each.decay for each in recipe.ema] == [0.5, 0.75]
    assert recipe.network["widths"] == [2, 4]
    assert recipe.data.weigh == "song"


@pytest.mark.parametrize("pair", ["steps", "=1", "steps="])
def test_a_setting_needs_a_key_and_a_value(pair: str) -> None:
    with pytest.raises(UsageError, match="--set takes KEY=VALUE"):
        parse_settings([pair])


def test_an_unknown_recipe_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UsageError, match="no recipe 'unett'") as caught:
        read_recipe("unett")
    assert "did you mean unet" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message"), [("steps = ", "not a TOML file"), ("steps = 1", "architecture is missing")]
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_recipe(str(write_recipe(tmp_path, text)))


def test_an_unknown_setting_of_the_network_is_refused(tmp_path: Path) -> None:
    recipe = read_recipe(str(write_recipe(tmp_path)), {"network.depht": 3})
    with pytest.raises(UsageError, match=r"^unknown key network\.depht$") as error:
        build_network(recipe)
    assert error.value.hint is not None
    assert "widths" in error.value.hint
    near = read_recipe(str(write_recipe(tmp_path)), {"network.widht": [3]})
    with pytest.raises(UsageError) as error:
        build_network(near)
    assert error.value.hint == "did you mean network.widths?"


def test_all_values_are_plain() -> None:
    for name in list_recipes():
        plain = read_recipe(name).plain()
        assert tomllib.loads(to_toml(plain)) == plain
