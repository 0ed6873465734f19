"""The vision transformer, against torch's own attention and blocks written out."""

import copy
from functools import partial

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from dacn.errors import RecipeError
from dacn.models.build import ModelConfig, build_model, require_image_size
from dacn.models.norms import build_norm
from dacn.models.vit import Vit, VitConfig
from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, convert_norm

CONTEXT = torch.tensor([0, 0, 1, 1])
NORMS = ["acn", {"name": "acn", "fit": "task"}, "acn_base", "cn", "acn_latent", "bn", "gn", "in", "ln", "mn", "none"]
SMALL = {"name": "vit", "depth": 2, "width": 24}
acn = partial(AdaptiveContextNorm, num_contexts=2, fit="likelihood")


def randomized(net: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    return net


def by_hand(net: Vit, x: Tensor) -> Tensor:
    """Patches cut by reshaping, torch's multi-head attention, one image at a time."""
    rows = []
    for image in x:
        p, (_, height, width) = net.patch, image.shape
        patches = image.unfold(1, p, p).unfold(2, p, p).permute(1, 2, 0, 3, 4).reshape(-1, 3 * p * p)  # (L, 3pp)
        tokens = patches @ net.embed.weight.flatten(1).T + net.embed.bias
        positions = net.positions[0].permute(1, 2, 0)
        assert positions.shape[:2] == (height // p, width // p)
        tokens = tokens + positions.reshape(-1, positions.shape[-1])
        for block in net.blocks:
            y = block.norm1(tokens)
            y, _ = F.multi_head_attention_forward(
                y, y, y, y.shape[-1], block.heads, block.qkv.weight, block.qkv.bias, None, None, False, 0.0,
                block.project.weight, block.project.bias,
            )  # fmt: skip
            tokens = tokens + y
            hidden = F.gelu(F.linear(block.norm2(tokens), block.mlp[0].weight, block.mlp[0].bias))
            tokens = tokens + F.linear(hidden, block.mlp[2].weight, block.mlp[2].bias)
        rows.append(net.last(tokens).mean(0))
    return torch.stack(rows)


@torch.no_grad()
def test_formula() -> None:
    net = randomized(Vit(lambda channels: nn.Identity(), patch=4, depth=2, width=24, heads=3, grid=4)).double()
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(net(x), by_hand(net, x))


@torch.no_grad()
def test_first_norm_is_on_the_embedded_patches_of_each_context() -> None:
    net = Vit(partial(ContextBatchNorm, num_contexts=2), depth=1, width=24)
    seen: list[Tensor] = []
    net.blocks[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    net(torch.randn(4, 3, 32, 32) * (1 + CONTEXT)[:, None, None, None] + CONTEXT[:, None, None, None], CONTEXT)
    tokens = seen[0] - net.positions.flatten(2).transpose(1, 2)
    for rows in tokens[:2], tokens[2:]:
        torch.testing.assert_close(rows.mean((0, 1)), torch.zeros(24), atol=1e-5, rtol=0)
        torch.testing.assert_close(rows.var((0, 1), correction=0), torch.ones(24), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("where", "first", "blocks"), [("first", 1, 0), ("every", 1, 4)])
def test_where(where: str, first: int, blocks: int) -> None:
    net = Vit(acn, depth=2, width=24, where=where)
    layers = {name: layer for name, layer in net.named_modules() if isinstance(layer, AdaptiveContextNorm)}
    assert sum(name == "first" for name in layers) == first
    assert sum(name.startswith("blocks") for name in layers) == blocks
    assert sum(isinstance(layer, nn.LayerNorm) for layer in net.modules()) == 5 - blocks
    assert all(layer.channels_last == name.startswith("blocks") for name, layer in layers.items())


@pytest.mark.parametrize("norm", NORMS, ids=str)
@pytest.mark.parametrize("where", ["first", "every"])
def test_every_norm_trains_and_reaches_every_parameter(norm: object, where: str) -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(backbone=SMALL | {"where": where}, norm=norm), 5, 2)
    x, y = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x, CONTEXT), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None for parameter in model.parameters())
    for layer in model.backbone.modules():
        if isinstance(layer, AdaptiveContextNorm):
            assert layer.initialized.all()
    assert model.eval()(x).shape == (4, 5)  # context unknown


def test_statistics_of_tokens_in_a_block() -> None:
    """BatchNorm in a block has one mean a channel, over all tokens of all images; LayerNorm one a token."""
    x = 3 + 2 * torch.randn(4, 64, 24)
    for norm, dims in {"bn": (0, 1), "in": (1,), "ln": (2,)}.items():
        net = Vit(partial(build_norm, ModelConfig(norm=norm).norm, num_contexts=2), depth=1, width=24, where="every")
        means = net.blocks[0].norm1(x).mean(dims)
        torch.testing.assert_close(means, torch.zeros_like(means), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 48), (64, 64), (4, 4)])
def test_images_of_other_sizes(height: int, width: int) -> None:
    net = Vit(acn, depth=1, width=24)
    net(torch.randn(4, 3, height, width), CONTEXT).pow(2).sum().backward()
    assert net.positions.grad.any()


def test_positions_are_themselves_at_their_own_size_and_between_at_others() -> None:
    net = Vit(lambda channels: nn.Identity(), depth=0, width=8, heads=1, grid=4)
    net.last = nn.Identity()
    nn.init.zeros_(net.embed.weight)
    seen = torch.stack([net(torch.zeros(1, 3, side, side))[0] for side in (16, 32)])  # means over tokens
    torch.testing.assert_close(seen, net.positions.mean((2, 3)).expand(2, -1))
    assert torch.equal(F.interpolate(net.positions, size=(4, 4), mode="bilinear"), net.positions)


def test_size_that_is_not_whole_patches_is_refused() -> None:
    net = Vit(acn, depth=1, width=24)
    with pytest.raises(AssertionError, match="images are not whole patches of 4 pixels"):
        net(torch.randn(4, 3, 32, 30), CONTEXT)
    model = build_model(ModelConfig(backbone=SMALL), 5, 2)
    require_image_size(model, 64, 64)
    message = r"data\.image_size: the backbone cannot take images of 30x30 pixels \(images are not whole patches of 4"
    with pytest.raises(RecipeError, match=message):
        require_image_size(model, 30, 30)


def test_converts_copies_and_compiles() -> None:
    torch.manual_seed(0)
    plain = Vit(lambda channels: nn.Identity(), depth=1, width=24)
    net = convert_norm(plain, "acn", 2, where=[nn.LayerNorm])  # its own context stays an input
    assert sum(isinstance(layer, AdaptiveContextNorm) for layer in net.modules()) == 3
    x = torch.randn(4, 3, 32, 32)
    assert net(x, CONTEXT).shape == (4, 24)
    model = Vit(acn, depth=1, width=24, where="every")
    twin = copy.deepcopy(model)
    torch.compiler.reset()
    compiled = torch.compile(twin, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, CONTEXT), model(x, CONTEXT), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 5}, "must divide the width 192, such as 4"),
        ({"width": 100}, "must divide the width 100, such as 2"),
        ({"where": "last"}, "'first' or 'every'"),
        ({"patch": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_do_not_hold(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VitConfig(**options)
