import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from dacn.models.norms import NORMS, AcnConfig, AnyNormConfig, GnConfig, build_norm
from dacn.nn import (
    AdaptiveContextNorm,
    AdaptiveContextNormBase,
    ContextBatchNorm,
    LatentContextNorm,
    LearnedMixtureNorm,
    MixtureNorm,
    takes_context,
)

CLASSES = {
    "acn": AdaptiveContextNorm,
    "acn_base": AdaptiveContextNormBase,
    "acn_latent": LatentContextNorm,
    "bn": nn.BatchNorm2d,
    "cn": ContextBatchNorm,
    "gn": nn.GroupNorm,
    "in": nn.InstanceNorm2d,
    "ln": nn.GroupNorm,
    "mn": MixtureNorm,
    "none": nn.Identity,
}


def build(options: dict[str, object], features: int = 16) -> nn.Module:
    return build_norm(TypeAdapter(AnyNormConfig).validate_python(options), features, num_contexts=3)


def test_table_is_sorted_complete_and_each_config_says_its_name() -> None:
    assert list(NORMS) == sorted(CLASSES)
    for name, (_, config_class) in NORMS.items():
        assert config_class().name == name


@pytest.mark.parametrize("name", NORMS)
def test_name_builds_its_class_and_keeps_the_shape(name: str) -> None:
    layer = build({"name": name})
    assert type(layer) is CLASSES[name]
    x, context = torch.rand(4, 16, 5, 5), torch.tensor([0, 1, 2, 0])
    assert (layer(x, context) if takes_context(layer) else layer(x)).shape == x.shape


PAPERS = {"name": "acn_latent", "form": "paper"}


def test_the_papers_form_of_latent_contexts_is_another_layer() -> None:
    layer = build({**PAPERS, "components": 3, "eps": 1e-3, "affine": False})
    assert type(layer) is LearnedMixtureNorm
    assert (layer.num_features, layer.components, layer.eps, layer.weight) == (16, 3, 1e-3, None)
    for option in ({"eta": 0.05}, {"opening": [0.1, 0.3]}, {"sharpness": 5.0}):
        with pytest.raises(ValidationError, match=f"{next(iter(option))} is of form: own; drop it"):
            build(PAPERS | option)
    config = TypeAdapter(AnyNormConfig).validate_python(PAPERS)
    assert TypeAdapter(AnyNormConfig).validate_python(config.model_dump()) == config  # a resolved recipe's tree


@pytest.mark.parametrize("name", [*NORMS, "the paper's acn_latent"])
def test_tokens(name: str) -> None:
    config = TypeAdapter(AnyNormConfig).validate_python({"name": name} if name in NORMS else PAPERS)
    layer = build_norm(config, 16, num_contexts=3, channels_last=True).eval()
    x, context = torch.randn(4, 25, 16), torch.tensor([0, 1, 2, 0])
    y = layer(x, context) if takes_context(layer) else layer(x)
    if name == "ln":
        assert type(layer) is nn.LayerNorm
        return
    maps = build_norm(config, 16, num_contexts=3).eval()
    m = x.transpose(1, 2).reshape(4, 16, 5, 5)
    expected = maps(m, context) if takes_context(maps) else maps(m)
    torch.testing.assert_close(y, expected.flatten(2).transpose(1, 2))


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        ({"name": "acn", "fit": "task", "eta": 0.05, "init": "standard", "eps": 1e-3}, None),
        ({"name": "acn_base", "init": "standard", "eps": 1e-3}, None),
        (
            {"name": "acn_latent", "components": 3, "eta": 0.05, "opening": (0.2, 0.3), "sharpness": 5.0, "eps": 1e-3},
            None,
        ),
        ({"name": "cn", "momentum": 0.01, "eps": 1e-3}, None),
        ({"name": "mn", "components": 5, "refit_every": 7, "samples": 64, "momentum": 0.01, "eps": 1e-3}, None),
        ({"name": "ln", "eps": 1e-3}, {"num_groups": 1, "eps": 1e-3}),
        ({"name": "bn", "momentum": 0.001, "eps": 1e-3, "affine": False}, None),
        ({"name": "in", "eps": 1e-3, "affine": True}, None),
        ({"name": "gn", "groups": 4, "eps": 1e-3}, {"num_groups": 4, "eps": 1e-3}),
    ],
)
def test_options_reach_the_layer(options: dict[str, object], attributes: dict[str, object] | None) -> None:
    layer = build(options)
    for key, value in (attributes or {k: v for k, v in options.items() if k != "name"}).items():
        assert getattr(layer, key) == value


@pytest.mark.parametrize(
    ("name", "affine"),
    [
        ("acn", False),
        ("acn_base", False),
        ("cn", "none"),
        ("gn", False),
        ("ln", False),
        ("mn", False),
        ("acn_latent", False),
    ],
)
def test_affine_can_be_left_out(name: str, affine: object) -> None:
    assert build({"name": name, "affine": affine}).weight is None


def test_own_affine_has_a_row_a_context() -> None:
    assert build({"name": "cn", "affine": "own"}).weight.shape == (3, 16)


@pytest.mark.parametrize(("channels", "groups"), [(16, 8), (12, 6), (7, 7), (3, 3), (11, 1), (96, 8)])
def test_groups_are_the_largest_divisor_up_to_eight(channels: int, groups: int) -> None:
    assert build_norm(GnConfig(), channels, num_contexts=2).num_groups == groups


def test_ln_is_layer_norm_over_channels_and_positions() -> None:
    x = torch.randn(4, 6, 5, 5)
    torch.testing.assert_close(build({"name": "ln"}, 6)(x), nn.functional.layer_norm(x, x.shape[1:]))


def test_unset_fit_is_likelihood() -> None:
    assert build_norm(AcnConfig(), 4, num_contexts=2).fit == "likelihood"


@pytest.mark.parametrize(
    "options",
    [
        {"name": "batchnorm"},
        {"name": "acn", "fit": "both"},
        {"name": "acn", "eta": 0},
        {"name": "acn", "momentum": 0.1},
        {"name": "cn", "affine": "mine"},
        {"name": "cn", "momentum": 2},
        {"name": "bn", "eps": 0},
        {"name": "gn", "groups": 0},
        {"name": "acn", "opening": [0.4, 0.4]},
        {"name": "acn_latent", "components": 0},
        {"name": "acn_latent", "opening": [0.5, 0.1]},
        {"name": "acn_latent", "sharpness": 0},
        {"name": "acn_latent", "form": "theirs"},
        {"name": "mn", "components": 0},
        {"name": "mn", "components": 65},
        {"name": "mn", "samples": 63},
        {"name": "mn", "refit_every": 0},
        {"name": "ln", "groups": 2},
        {"name": "none", "eps": 1e-5},
    ],
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        build(options)
