"""Contexts that hold labelled and unlabelled rows: the source's logits are computed twice, as section 3.1 wants it."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dacn.algorithms import AdaMatch
from dacn.algorithms.context_learner import ContextLearner
from dacn.data.domain import Domain, DomainPair
from dacn.data.pair.contexts import ClusterContext, FileContext, RandomContext, with_contexts
from dacn.data.views.augment import Augment, AugmentConfig
from dacn.data.views.loader import DomainLoader
from dacn.errors import RecipeError
from dacn.recipe.recipe import parse_recipe
from dacn.run.build import build_algorithm, build_pair
from tests import made_up

SIZE, COUNT = 16, 24


def archive(folder: Path, name: str, part: Domain) -> dict[str, str]:
    path = folder / f"{name}.npz"
    assert part.labels is not None
    np.savez(
        path, images=part.images.permute(0, 2, 3, 1).numpy(), labels=part.labels.numpy(), classes=["class0", "class1"]
    )
    return {"npz": str(path)}


def pair_of(kind: str, folder: Path) -> DomainPair:
    """A pair of each kind that there is, by what its contexts are."""
    plain = made_up.pair(size=SIZE, count=COUNT)
    if kind == "domain":
        return plain
    if kind == "random":
        return with_contexts(RandomContext(count=2), plain)
    if kind == "cluster":
        return with_contexts(ClusterContext(count=2, components=4, method="kmeans"), with_both_colours(plain))
    if kind in ("file, apart", "file, mixed"):
        contexts = {name: np.arange(COUNT) % 2 + 2 * (name[:6] == "target") for name in plain.domains}
        if kind == "file, mixed":
            contexts["target"] = np.arange(COUNT) % 3 + 1
        np.savez(folder / "contexts.npz", **contexts)
        return with_contexts(FileContext(path=folder / "contexts.npz"), plain)
    parts = {
        name: archive(folder, name, made_up.domain(name, COUNT, seed=seed, tint=tint, size=SIZE))
        for name, seed, tint in (("source", 0, 0), ("target", 1, 2))
    }
    if kind == "target_labels_per_class":
        config: dict[str, Any] = {**parts, "target_labels_per_class": 2}
    else:  # one data set, some of it labelled
        config = {"dataset": parts["source"], "labels": 8, "target_test": parts["source"]}
    data = parse_recipe({"data": config}, "test").data
    assert data is not None
    return build_pair(data)


def with_both_colours(pair: DomainPair) -> DomainPair:
    """Half of each domain's images are those of the other, so that a cluster is no domain."""
    source, target = pair.source.images, pair.target.images
    half = COUNT // 2
    return DomainPair(
        source=Domain("a", torch.cat([source[:half], target[:half]]), pair.source.labels, classes=pair.classes),
        target=Domain("b", torch.cat([target[half:], source[half:]]), pair.target.labels),
    )


MIXED = ["random", "cluster", "file, mixed", "target_labels_per_class", "dataset"]
APART = ["domain", "file, apart"]


def method(kind: str, norm: object, folder: Path, algorithm: object = "adamatch") -> tuple[AdaMatch, DomainPair]:
    tree = {
        "algorithm": algorithm,
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": norm, "input_norm": "none"},
        "train": {"steps": 4, "source_batch": 8, "target_ratio": 1},
    }
    pair = pair_of(kind, folder)
    built: Any = build_algorithm(parse_recipe(tree, "test"), pair)
    return (built.method if isinstance(built, ContextLearner) else built), pair


def batches(pair: DomainPair) -> DomainLoader:
    return DomainLoader(
        pair,
        Augment(AugmentConfig(), flips=False),
        source_batch=8,
        target_batch=8,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("kind", [*MIXED, *APART])
def test_the_pair_knows_whether_its_contexts_part_labelled_from_unlabelled(kind: str, tmp_path: Path) -> None:
    pair = pair_of(kind, tmp_path)
    source, target = pair.source.context_or(0), pair.target.context_or(pair.num_contexts - 1)
    assert pair.contexts_apart is not any((source == context).any() for context in target)
    assert pair.contexts_apart is (kind in APART)


@pytest.mark.parametrize("norm", ["cn", {"name": "acn", "fit": "likelihood"}], ids=["cn", "acn"])
@pytest.mark.parametrize("kind", MIXED)
def test_logits_are_those_of_two_plain_passes(kind: str, norm: object, tmp_path: Path) -> None:
    algorithm, pair = method(kind, norm, tmp_path)
    assert algorithm.two_forwards
    loader = batches(pair)
    algorithm(next(loader), 0.0)  # past the data-driven start
    calls: list[int] = []
    algorithm.model.register_forward_hook(lambda module, args, output: calls.append(len(output)))
    for step in range(2):
        batch = next(loader)
        joint_net, alone_net = (copy.deepcopy(algorithm.model) for _ in range(2))
        torch.manual_seed(step)
        total, parts = algorithm(batch, 0.0)
        assert sorted(calls[-2:]) == [16, 32]

        images, contexts = torch.cat(batch.source), batch.source_context.repeat(2)
        joint = joint_net(torch.cat([images, *batch.target]), torch.cat([contexts, batch.target_context.repeat(2)]))
        alone = alone_net(images, contexts)
        assert (joint[:16] - alone).abs().max() > 1e-3, "else one pass would do"
        torch.manual_seed(step)
        z = joint[:16] + torch.rand(16, 2) * (alone - joint[:16])
        losses = -z.log_softmax(1)[range(16), batch.labels.repeat(2)]
        assert total.item() == pytest.approx(
            losses.mean().item(), abs=1e-5
        )  # at the beginning the target has no weight
        assert parts["threshold"].item() == pytest.approx(0.9 * z[:8].softmax(1).amax(1).mean().item(), abs=1e-5)
        for name, value in joint_net.state_dict().items():  # what stays is the joint pass
            torch.testing.assert_close(algorithm.model.state_dict()[name], value, msg=name)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("cn", False), ("acn", False), ("acn_base", False), ("none", False), ("bn", True), ("mn", True)],
)
@pytest.mark.parametrize("kind", APART)
def test_where_contexts_are_apart_only_shared_statistics_need_two(
    kind: str, norm: str, expected: bool, tmp_path: Path
) -> None:
    assert method(kind, norm, tmp_path)[0].two_forwards is expected


@pytest.mark.parametrize(
    "norm", [{"name": "acn", "fit": "task"}, "acn_base", {"name": "acn_latent", "form": "paper"}, "gn", "none"], ids=str
)
def test_layers_without_batch_statistics_need_one_whatever_the_contexts(norm: object, tmp_path: Path) -> None:
    algorithm, pair = method("random", norm, tmp_path)
    assert not algorithm.two_forwards
    loader = batches(pair)
    algorithm(next(loader), 0.0)
    batch = next(loader)
    images, contexts = torch.cat(batch.source), batch.source_context.repeat(2)
    joint = algorithm.model(torch.cat([images, *batch.target]), torch.cat([contexts, batch.target_context.repeat(2)]))
    torch.testing.assert_close(joint[:16], algorithm.model(images, contexts), atol=1e-5, rtol=1e-5)


def test_labelled_rows_cannot_be_told_apart_by_contexts_that_are_no_domains(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"algorithm\.labelled: apart .* data\.context is random; use"):
        method("random", "bn", tmp_path, {"name": "adamatch", "labelled": "apart"})
