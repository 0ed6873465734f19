import re
from pathlib import Path

import pytest
import yaml

from dacn.algorithms import ALGORITHMS, AdaMatchConfig, SourceOnlyConfig
from dacn.data.pair.pairs import DataConfig
from dacn.errors import RecipeError
from dacn.models.norms import AcnConfig, CnConfig, NoNormConfig
from dacn.models.small_cnn import SmallCnnConfig
from dacn.models.wide_resnet import WideResNetConfig
from dacn.recipe.recipe import Recipe, load_recipe, parse_recipe, schema
from dacn.trainer.optimizer import AdamWConfig, SgdConfig
from dacn.trainer.schedule import ConstantConfig

DESIGN = """\
# AdaMatch with Adaptive Context Normalization, MNIST -> SVHN.
seed: 3
data:
  pair: mnist_svhn
  root: data
algorithm: {name: adamatch, threshold: 0.8}
model:
  backbone: {name: wide_resnet, depth: 28, width: 2}
  input_norm: acn
  norm: {name: acn, fit: likelihood, eta: 0.05}
train: {steps: 131072, source_batch: 64, target_ratio: 3, ema: 0.999, precision: auto, compile: auto}
optimizer: {name: sgd, lr: 0.03, momentum: 0.9, weight_decay: 1e-3}
schedule: {name: cosine, end: 0.25}
evaluate: {every: 2048, select: mutual_information}
"""


@pytest.fixture
def write(tmp_path):
    def write(text="data: {pair: digits}\n", name="trial.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def message(*arguments, **options):
    with pytest.raises(RecipeError) as caught:
        load_recipe(*arguments, **options)
    return str(caught.value)


# What holds.


def test_the_recipe_of_the_design(write):
    recipe = load_recipe(write(DESIGN, "mnist_svhn_acn.yaml"))
    assert (recipe.name, recipe.seed) == ("mnist_svhn_acn", 3)
    assert recipe.data == DataConfig(pair="mnist_svhn", root=Path("data"))
    assert recipe.algorithm == AdaMatchConfig(threshold=0.8)
    assert recipe.model.backbone == WideResNetConfig(depth=28, width=2)
    assert recipe.model.input_norm == AcnConfig(fit="task")
    assert recipe.model.norm == AcnConfig(fit="likelihood", eta=0.05)
    assert recipe.optimizer == SgdConfig(weight_decay=0.001)
    assert recipe.evaluate.every == 2048


def test_defaults(write):
    recipe = load_recipe(write())
    assert (recipe.name, recipe.seed) == ("trial", 0)
    names = [part.name for part in (recipe.algorithm, recipe.model.input_norm, recipe.model.norm, recipe.optimizer)]
    assert [*names, recipe.schedule.name] == ["adamatch", "acn", "acn", "sgd", "cosine"]


def test_from_python():
    recipe = Recipe()
    assert (recipe.name, recipe.data) == ("run", None)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 1


def test_one_word_stands_for_a_mapping(write):
    words = "algorithm: source_only, optimizer: adamw, schedule: constant, model: {norm: none, backbone: small_cnn}"
    recipe = load_recipe(write(f"{{data: {{pair: digits}}, {words}}}"))
    assert recipe.algorithm == SourceOnlyConfig()
    assert recipe.optimizer == AdamWConfig()
    assert recipe.schedule == ConstantConfig()
    assert recipe.model.norm == NoNormConfig()
    assert recipe.model.backbone == SmallCnnConfig()


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1E-3", 1e-3), ("2.e-3", 2e-3), (".5e-2", 5e-3), ("1.5e-3", 1.5e-3), ("+1e-3", 1e-3)],
)
def test_numbers_with_exponents(write, text, value):
    recipe = load_recipe(write(f"{{data: {{pair: digits}}, optimizer: {{name: sgd, weight_decay: {text}}}}}"))
    assert isinstance(recipe.optimizer, SgdConfig)
    assert recipe.optimizer.weight_decay == value


def test_a_whole_number_with_exponent(write):
    assert load_recipe(write(), ["train.steps=1e5"]).train.steps == 100_000


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["name='1e5'", "seed=7", "data.root=~/my data/é", "data.flips=true"],
        ["algorithm=source_only", "optimizer=adamw", "optimizer.betas=[0.8, 0.9]", "schedule=inverse"],
        ["model.backbone=wide_resnet", "model.norm=cn", "model.norm.affine=own", "model.input_norm=in"],
        ["optimizer.weight_decay=1e-12", "optimizer.lr=0.1234567890123456", "train.compile=false", "name='2024-01-31'"],
        ["data={source: {folder: a}, target: {npz: b.npz}, target_test: {torchvision: USPS, train: false}}"],
        ["data={source: {python: 'a.b:c'}, target: {folder: c}}"],
    ],
)
def test_the_resolved_recipe_loads_as_an_equal_one(write, overrides):
    recipe = load_recipe(write(), overrides)
    again = write(recipe.to_yaml(), "resolved.yaml")
    assert load_recipe(again) == recipe  # its name too, which is not the new file's


def test_the_resolved_recipe_has_every_key_in_the_order_of_the_design(write):
    tree = yaml.safe_load(load_recipe(write()).to_yaml())
    parts = ["name", "seed", "data", "augment", "algorithm", "model", "train", "optimizer", "schedule", "evaluate"]
    assert list(tree) == [*parts, "tracking"]
    norm = {"name": "acn", "fit": "likelihood", "eta": 0.1, "opening": [0.1, 0.4]}
    assert tree["model"]["norm"] == norm | {"init": "data", "affine": True, "eps": 1e-5}
    assert load_recipe(write()).to_yaml().isascii()


# Overrides.


def test_overrides_make_levels_and_turn_words_into_mappings(write):
    path = write("{data: {pair: digits}, model: {norm: cn}, algorithm: {name: adamatch, threshold: 0.5}}")
    overrides = ["train.steps=5", "model.norm.momentum=0.2", "algorithm=source_only", "optimizer.lr=1e-4", "seed=4"]
    recipe = load_recipe(path, overrides)
    assert recipe.train.steps == 5
    assert recipe.model.norm == CnConfig(momentum=0.2)
    assert recipe.algorithm == SourceOnlyConfig()  # adamatch's threshold went with it
    assert recipe.optimizer == SgdConfig(lr=1e-4)  # the default optimizer
    assert recipe.seed == 4


def test_later_overrides_win_and_the_seed_option_over_all(write):
    recipe = load_recipe(
        write("{data: {pair: digits}, seed: 1}"), ["seed=2", "seed=3", "train.steps=1", "train.steps=2"], seed=9
    )
    assert (recipe.seed, recipe.train.steps) == (9, 2)


@pytest.mark.parametrize("override", ["train.steps", "=3", "train..steps=3", ".steps=3", "train.=3"])
def test_a_malformed_override_shows_the_form(write, override):
    assert message(write(), [override]) == (
        f"--set {override!r}: expected --set key.path=value, for example --set train.steps=500"
    )


def test_an_override_below_a_number(write):
    assert message(write("{data: {pair: digits}, seed: 1}"), ["seed.x=2"]).startswith(
        "--set 'seed.x=2': seed is 1, which has no keys; expected --set key.path=value"
    )


def test_an_override_that_is_not_yaml(write):
    text = message(write(), ["optimizer.betas=[0.9, 0.99"])
    assert text.startswith("--set 'optimizer.betas=[0.9, 0.99', line 1, column ")


def test_an_override_of_an_unknown_key_is_reported_as_in_the_file(write):
    path = write()
    assert message(path, ["train.step=3"]).splitlines()[:1] == [f"{path}: 1 problem"]
    assert "  train.step: unknown key; did you mean 'steps'?; valid keys: steps, " in message(path, ["train.step=3"])


# Problems of values.


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("algorithm=adamtch",
         f"algorithm.name: got 'adamtch', expected one of {', '.join(ALGORITHMS)}, python; did you mean 'adamatch'?"),
        ("algorithm.name=dan",
         "algorithm.name: got 'dan', expected one of adamatch, adamatch_ablation, adamatch_flawed, "),
        ("algorithm={threshold: 0.5}",
         f"algorithm.name: missing, expected one of {', '.join(ALGORITHMS)}"),
        ("algorithm=3",
         "algorithm.name: got '3', expected one of adamatch, adamatch_ablation, adamatch_flawed, "),
        ("algorithm.treshold=0.5",
         "algorithm.treshold: unknown key; did you mean 'threshold'?; valid keys: name, threshold, source_marginal"),
        ("model.norm=[acn]",
         "model.norm: got ['acn'], expected one of acn, acn_base, acn_latent, cn, mn, bn, in, gn, ln, none"),
        ("model.norm.fit=x", "model.norm.fit: got 'x', expected task, likelihood or null"),
        ("model.norm.eta=2", "model.norm.eta: got 2, expected a number above 0 and at most 1"),
        ("model.backbone={name: wide_resnet, depth: 27}",
         "model.backbone.depth: got 27, must be 6n + 4, the nearest is 28"),
        ("model=acn", "model: got 'acn', expected a mapping (keys: backbone, input_norm, norm, bottleneck)"),
        ("evaluate.every=-1", "evaluate.every: got -1, expected a whole number of at least 1 or null"),
        ("train.steps=many", "train.steps: got 'many', expected a whole number from 1 to 1000000000"),
        ("train.steps=1.5", "train.steps: got 1.5, expected a whole number from 1 to 1000000000"),
        ("train.steps.x=1", "train.steps: got {'x': 1}, expected a whole number from 1 to 1000000000"),
        ("train.steps.x.y=1", "train.steps: got {'x': {'y': 1}}, expected a whole number from 1 to 1000000000"),
        ("train.precision.x=1", "train.precision: got {'x': 1}, expected one of auto, fp32, bf16"),
        ("train.ema=1.0", "train.ema: got 1.0, expected a number of at least 0 and below 1"),
        ("train.ema=.nan", "train.ema: got nan, expected a number of at least 0 and below 1"),
        ("train.compile=maybe", "train.compile: got 'maybe', expected auto, graphs, true or false"),
        ("train.precision=bf61", "train.precision: got 'bf61', expected one of auto, fp32, bf16; did you mean 'bf16'?"),
        ("optimizer={name: adamw, betas: [0.9, 2]}",
         "optimizer.betas[1]: got 2, expected a number of at least 0 and below 1"),
        ("optimizer={name: adamw, betas: 0.9}",
         "optimizer.betas: got 0.9, expected a list of 2 values, each a number of at least 0 and below 1"),
        ("name=a/b", "name: got 'a/b', expected a name for the run and its folder, without slashes"),
        ("name=..", "name: got '..', expected a name for the run and its folder, without slashes"),
        ("seed=-1", "seed: got -1, expected a whole number from 0 to 2147483647"),
        ("data.pair=digts", "data.pair: got 'digts', no pair of this name; did you mean 'digits'?"),
        ("data.root=[3]", "data.root: got [3], expected a path"),
        ("data.target={folder: [a]}", "data.target.folder: got ['a'], expected a path"),
        ("data.target={python: x}", "data.target.python: got 'x', expected text such as 'my_package.data:sketches'"),
        ("data.target=photos", "data.target: got 'photos', expected one of {folder: ...}"),
        ("data.class_map={a: [1]}", "data.class_map: got [1], expected a mapping of old names to new ones or null"),
        ("data.classes=[dog]", "data.classes: got ['dog'], expected a list of at least 2 values, each text or null"),
        ("data.target={folder: a, class_map: 3}",
         "data.target.class_map: got 3, expected a mapping of old names to new ones or null"),
        ("data=null", "data: give data.pair (digits, "),
    ],
)  # fmt: skip
def test_one_problem(write, override, expected):
    path = write()
    header, line = message(path, [override]).splitlines()
    assert header == f"{path}: 1 problem"
    assert line.startswith(f"  {expected}")


def test_several_problems_at_once(write):
    path = write(
        "{data: {pair: digits}, tarin: {steps: 3}, train: {steps: 0}, model: {norm: {name: gn, groups: x}, depth: 1}}"
    )
    lines = message(path).splitlines()
    assert lines[0] == f"{path}: 4 problems"
    assert sorted(line.split(":")[0].strip() for line in lines[1:]) == [
        "model.depth",
        "model.norm.groups",
        "tarin",
        "train.steps",
    ]


def test_a_file_without_data(write):
    assert message(write("seed: 1")).splitlines()[1].startswith("  data: give data.pair (digits, ")


def test_no_jargon_of_the_checker(write):
    text = message(write("{algorithm: {}, train: [1], seed: {a: 1}, data: {pair: 3, root: [], flips: x, source: 3}}"))
    for word in ("pydantic", "http", "Input", "dict", "instance", "Literal", "str", "int_"):
        assert not re.search(rf"(?<![a-z]){word}", text), (word, text)


def test_a_python_tree_is_checked_alike():
    with pytest.raises(RecipeError, match=r"^here: 1 problem\n  seed: got 'x', expected a whole number"):
        parse_recipe({"seed": "x"}, "here")


def test_a_config_of_another_part_in_a_python_tree():
    with pytest.raises(
        RecipeError,
        match=r"algorithm.name: got 'sgd', expected one of adamatch, adamatch_ablation, adamatch_flawed, ",
    ):
        parse_recipe({"algorithm": SgdConfig()}, "here")


# Problems of files.


def test_a_missing_file_names_the_nearest_recipe(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    assert message("digits_anc.yaml") == "digits_anc.yaml: no such recipe; did you mean 'digits_acn'?"
    (tmp_path / "recipes").mkdir()
    write(name="recipes/digits_acn.yaml")
    for wrong in ("recipes/digits_anc.yaml", "digits_anc", "recipe/digits_acn.yaml"):
        assert message(wrong) == f"{wrong}: no such recipe; did you mean 'recipes/digits_acn.yaml'?"


def test_a_folder_in_place_of_a_file(tmp_path, write):
    assert message(tmp_path) == f"{tmp_path}: is a folder, expected a YAML file"
    inside = write(name="recipe.yaml")
    assert message(tmp_path) == f"{tmp_path}: is a folder; did you mean '{inside}'?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: {pair: digits}\ntrain: {steps: 1\nseed: 2\n", ", line 3, column "),
        ("seed: 1\nseed: 2\n", ", line 2, column 1: the key 'seed' is given twice, first on line 1"),
        ("train:\n  steps: 1\n  ema: 0\n  steps: 1\n",
         ", line 4, column 3: the key 'steps' is given twice, first on line 2"),
        ("seed: 1\nname: !!python/object/apply:os.system ['true']\n",
         ", line 2, column 7: tags (!!python/object/apply:os.system) are not allowed in a recipe; write plain values"),
        ("seed: !!int x\n", ", line 1, column 7: tags (!!int) are not allowed"),
        ("data: !mine {pair: digits}\n", ", line 1, column 7: tags (!mine) are not allowed"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", ", line 2, column 8: aliases (*a) are not allowed in a recipe"),
        ("a: &a {b: *a}\n", ", line 1, column 11: aliases (*a) are not allowed in a recipe"),
        ("? [a, b]\n: 1\n", ", line 1, column 3: a key must be one word"),
        ("a: 1\n---\nb: 2\n", ", line 2, column 1: "),
        ("", ": expected keys such as `data:` and `algorithm:` at the top level, got nothing"),
        ("just words\n", ": expected keys such as `data:` and `algorithm:` at the top level, got 'just words'"),
        ("[1, 2]\n", ": expected keys such as `data:` and `algorithm:` at the top level, got [1, 2]"),
        ("seed: " + "9" * 5000, ": cannot be read as YAML ("),
        ("seed: " + "[" * 1200, ": cannot be read as YAML ("),
        ("PK\x03\x04", ": not a text file ("),
    ],
)  # fmt: skip
def test_what_is_not_a_recipe(write, text, expected):
    path = write(text)
    assert message(path).startswith(f"{path}{expected}")


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "image.yaml"
    path.write_bytes(b"\xff\xd8\xff\xe0 JFIF")
    assert message(path).startswith(f"{path}: not a text file (")


def test_dates_and_odd_keys_are_text(write):
    assert load_recipe(write(), ["name=2024-13-45"]).name == "2024-13-45"
    assert "  on: unknown key" in message(write("{data: {pair: digits}, on: 1}"))
    assert "  <<: unknown key" in message(write("{data: {pair: digits}, <<: {seed: 1}}"))


# The schema, read by a validator of its own.


def accepts(node, value, root):
    """A JSON Schema validator for the few keywords that occur."""
    if "$ref" in node:
        return accepts(root["$defs"][node["$ref"].split("/")[-1]], value, root)
    types = {"object": dict, "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list}
    types["null"] = type(None)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    properties = node.get("properties", {})
    return all(
        [
            "type" not in node
            or (isinstance(value, types[node["type"]]) and (node["type"] == "boolean" or value is not True)),
            "const" not in node or value == node["const"],
            "enum" not in node or value in node["enum"],
            "anyOf" not in node or any(accepts(part, value, root) for part in node["anyOf"]),
            "oneOf" not in node or sum(accepts(part, value, root) for part in node["oneOf"]) == 1,
            not number or value >= node.get("minimum", value),
            not number or value <= node.get("maximum", value),
            not isinstance(value, dict) or all(key in value for key in node.get("required", [])),
            not isinstance(value, dict) or node.get("additionalProperties", True) or set(value) <= set(properties),
            not isinstance(value, dict)
            or all(accepts(properties[key], value[key], root) for key in set(properties) & set(value)),
        ]
    )


@pytest.mark.parametrize(
    ("tree", "valid"),
    [
        ({"data": {"pair": "digits"}}, True),
        ({"data": {"pair": "digits"}, "model": {"norm": "cn", "backbone": "wide_resnet"}, "optimizer": "adamw"}, True),
        ({"data": {"pair": "digits"}, "model": {"norm": {"name": "cn", "affine": "own"}}}, True),
        ({"data": {"source": {"folder": "a"}, "target": {"npz": "b"}}, "evaluate": {"every": None}}, True),
        ({}, False),
        ({"data": None}, False),
        ({"data": {"pair": "digits"}, "algorithm": "adamtch"}, False),
        ({"data": {"pair": "digits"}, "algorithm": {"name": "source_only", "threshold": 0.9}}, False),
        ({"data": {"pair": "digits"}, "algorithm": {"threshold": 0.9}}, False),
        ({"data": {"pair": "digits"}, "model": {"norm": "cn", "nrom": "cn"}}, False),
        ({"data": {"pair": "digits"}, "train": {"steps": 0}}, False),
        ({"data": {"pair": "digits"}, "foo": 1}, False),
    ],
)
def test_the_schema_accepts_what_loads_and_refuses_what_does_not(write, tree, valid):
    assert accepts(schema(), tree, schema()) is valid
    path = write(yaml.safe_dump(tree))
    if valid:
        load_recipe(path)
    else:
        message(path)


def test_the_schema_accepts_the_resolved_recipe(write):
    assert accepts(schema(), yaml.safe_load(load_recipe(write(DESIGN)).to_yaml()), schema())


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.backbone=resnet50", "model.backbone: got 'resnet50', a network of torchvision: expected {name: "
         "torchvision, arch: resnet50}"),
        ("model.backbone={name: ResNet-50}", "model.backbone: name: got 'ResNet-50', a network of torchvision"),
        ("model.backbone=WRN-28-2", "model.backbone: got 'WRN-28-2', expected 'wide_resnet', as it is called here"),
        ("model.norm=batchnorm", "model.norm: got 'batchnorm', expected 'bn', as it is called here"),
        ("model.norm=BatchNorm2d", "model.norm: got 'BatchNorm2d', expected 'bn', as it is called here"),
        ("model.input_norm={name: layer_norm}", "model.input_norm: name: got 'layer_norm', expected 'ln', as it is"),
        ("norm=bn", "norm: unknown key; did you mean 'model.norm'?"),
        ("backbone=resnet50", "backbone: unknown key; did you mean 'model.backbone'?"),
        ("lr=0.1", "lr: unknown key; did you mean 'optimizer.lr'?"),
        ("optimizer.steps=3", "optimizer.steps: unknown key; did you mean 'train.steps'?"),
        ("steps=3", "steps: unknown key; did you mean 'train.steps'?"),
    ],
)  # fmt: skip
def test_other_names_and_other_places_lead_to_the_right_ones(write, override, expected):
    path = write()
    assert message(path, [override]).splitlines()[1].strip().startswith(expected)
