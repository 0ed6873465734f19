from pathlib import Path

from dacn.bench.setting import DIGITS, digits_recipe, images_tested, setting_of
from dacn.recipe.recipe import load_recipe, parse_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def test_without_a_recipe_it_is_the_shipped_one() -> None:
    shipped = load_recipe(RECIPES / "digits_acn.yaml")
    same = {"evaluate": shipped.evaluate, "schedule": shipped.schedule}  # neither is part of a step
    assert digits_recipe().model_copy(update=same) == shipped
    assert setting_of(shipped).images_are == "the embedded digits"


def test_other_images_are_made_up_in_the_recipes_size_and_contexts() -> None:
    data = {"source": [{"folder": "a"}, {"folder": "b"}], "target": {"folder": "c"}, "image_size": 48}
    setting = setting_of(parse_recipe(DIGITS | {"data": data}, "test"))
    assert setting.images_are == "made up: random bytes of 48 x 48 pixels, 10 classes"
    assert setting.pair.source.images.shape[1:] == (3, 48, 48)
    assert setting.pair.contexts == ("source0", "source1", "target")
    assert setting.pair.source.context is not None
    assert setting.pair.source.context.unique().tolist() == [0, 1]


def test_one_data_set_is_one_context() -> None:
    tree = DIGITS | {"algorithm": "fixmatch", "data": {"dataset": "cifar10", "labels": 250}}
    assert setting_of(parse_recipe(tree, "test")).pair.num_contexts == 1


def test_domainnet_is_tested_on_the_lists_of_both_domains() -> None:
    recipe = parse_recipe({"data": {"pair": "domainnet_clipart_sketch", "image_size": 8}}, "test")
    assert images_tested(setting_of(recipe)) == 14_604 + 20_916
