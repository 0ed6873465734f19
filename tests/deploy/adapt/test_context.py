"""The rows of a new context against plain computations of what reaches each layer."""

import torch

from dacn.deploy.adapt.adapter import snapshot
from dacn.deploy.adapt.context import Context
from dacn.deploy.adapt.row import context_layers, copy_row
from tests.deploy.adapt.networks import NEW, affine_of, changed, images, known_rows, network, plain


def test_with_no_prior_a_batch_is_normalized_by_its_own_statistics() -> None:
    model = network()
    context, x = Context(model, NEW, strength=0.0, groups=1), images(40)
    expected = plain(model, x, affine_of(model))
    torch.testing.assert_close(context.step(x), expected.detach(), atol=1e-5, rtol=1e-5)
    assert context.share == 1.0


def test_each_layer_is_moved_by_what_it_sees_behind_the_moved_ones() -> None:
    model, x = network(), images(12)
    context = Context(model, NEW, strength=16.0)
    group = context.scores(x).argmax(1)
    counts = torch.bincount(group, minlength=4).double()
    weights_of, share_of = {}, {}
    for place, name in enumerate(context_layers(model)):
        b = 0.15 + 0.35 * (place / 5) ** 3
        weights = counts / (b * counts + 1 - b)
        weights = weights / weights.sum()
        within = sum((w * w / n).item() for w, n in zip(weights, counts, strict=True) if n > 0)
        variance = b * ((weights * weights).sum().item() - 1 / 4) + (1 - b) * within
        worth = 1 / max(1 / 12, variance)
        weights_of[name], share_of[name] = weights, worth / (worth + 16.0)
    layers = context_layers(model)
    starts = {n: (layer.running_mean[NEW].clone(), layer.running_var[NEW].clone()) for n, layer in layers.items()}
    scores = context.step(x)
    assert abs(context.share - share_of["backbone.layers.18"]) < 1e-9
    own = {
        name: torch.stack([weights_of[name][k] / counts[k].clamp_min(1) for k in range(4)])[group] for name in starts
    }
    z = x
    for index, layer in enumerate(model.backbone.layers):  # type: ignore[arg-type]
        name = f"backbone.layers.{index}"
        if name in starts:
            w = own[name][:, None]  # (B, 1), sums to one
            mean = (w * z.mean((2, 3))).sum(0)
            var = (w * (z * z).mean((2, 3))).sum(0) - mean * mean
            share, (mean0, var0) = share_of[name], starts[name]
            torch.testing.assert_close(
                layer.running_mean[NEW], (1 - share) * mean0 + share * mean, atol=1e-5, rtol=1e-5
            )
            torch.testing.assert_close(layer.running_var[NEW], (1 - share) * var0 + share * var, atol=1e-5, rtol=1e-5)
            z = layer(z, torch.full((len(z),), NEW))
        else:
            z = layer(z)
    torch.testing.assert_close(model.head(z.mean((2, 3))), scores)
    torch.testing.assert_close(context.scores(x), scores)  # the rows stay where the batch has put them


def test_known_contexts_and_everything_else_stay() -> None:
    model = network()
    before, known = snapshot(model), known_rows(model.state_dict())
    context, x = Context(model, NEW), images(8)
    outputs = [model(x, torch.full((8,), k)) for k in (0, 1)]
    context.step(x)
    context.step(images(8, seed=2))
    assert changed(before, model) == {"running_mean", "running_var"}
    for name, value in known_rows(model.state_dict()).items():
        assert torch.equal(value, known[name]), name
    for k, output in enumerate(outputs):
        assert torch.equal(model(x, torch.full((8,), k)), output)


def test_a_stream_ends_where_all_of_it_at_once_does() -> None:
    model = network()
    context, x = Context(model, NEW), images(24)
    name = "backbone.layers.1"  # what reaches the first norm layer does not depend on rows
    fit, layer = context.fits[name], context_layers(model)[name]
    seen = model.get_submodule("backbone.layers.0")(x).detach()
    fit.add(seen, torch.zeros(24, dtype=torch.int64))
    at_once = fit.write(16.0)
    whole = layer.running_mean[NEW].clone()
    context.reset()
    for part in torch.split(seen, 5):
        fit.add(part, torch.zeros(len(part), dtype=torch.int64))
    assert fit.write(16.0) == at_once
    torch.testing.assert_close(layer.running_mean[NEW], whole)


def test_one_image_moves_it_little_and_reset_puts_it_back() -> None:
    model = network()
    before = snapshot(model)
    context = Context(model, NEW)
    context.step(images(1))
    assert 0 < context.share <= 1 / 17
    context.reset()
    assert changed(before, model) == set()


def test_rows_are_copied() -> None:
    model = network()
    copy_row(model, 1, NEW)
    x = images(4)
    assert torch.equal(model(x, torch.full((4,), 1)), model(x, torch.full((4,), NEW)))
