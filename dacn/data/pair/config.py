"""The `data` part of a recipe."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dacn.data.classes.class_map import ClassMap, ClassNames
from dacn.data.known.catalogue import DATASETS, PAIRS
from dacn.data.pair.contexts import AnyContextConfig, DomainContext
from dacn.data.pair.spec import AnySpec, DomainSpec, DomainSpecs, as_tuple, parse_spec
from dacn.data.read.reading import ReadingConfig
from dacn.errors import did_you_mean

_KNOWN_PAIRS = f"digits, mnist_svhn, pacs_photo_sketch, ... (`dacn list pairs` names all {len(PAIRS)})"
_KNOWN_SETS = "mnist, cifar10, stl10, ... (`dacn data list` names all)"


class DataConfig(ReadingConfig):
    """Which images a run adapts from and to: a named pair, or a source and a target of your own.

    A spec beside `pair` replaces that part. A replaced source or target leaves behind the pair's test set of its
    domain, which no longer speaks for it; give `source_test` or `target_test` with it.

    Instead, `dataset` describes learning within one data set, with a few `labels` or all of them.

    How the images are read is `ReadingConfig`'s part.
    """

    pair: str | None = Field(None, description=f"a named pair: {_KNOWN_PAIRS}", examples=[*PAIRS])
    source: DomainSpecs | None = Field(None, description="labelled training images; a list: each a context of its own")
    target: DomainSpec | None = Field(
        None, description="training images; their labels are dropped, but for what the two keys below ask for"
    )
    target_classes: Literal["same", "fewer"] = Field(
        "same",
        description="whether the target has the source's classes, or fewer of them (partial adaptation), which the "
        "method then reckons with; more than the source's are refused",
    )
    target_labels_per_class: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="so many target images of each class are labelled too, and still unlabelled",
        examples=[3],
    )
    target_imbalance: float | None = Field(
        None, gt=1, le=1000, description="how many times rarer the last class becomes in the target's training images "
        "than the first, to see what a skewed target does; by its labels, the test set stays as it is", examples=[10],
    )  # fmt: skip
    oracle: bool = Field(
        False, description="train on the target's labels, all of them: an upper bound and not adaptation"
    )
    source_test: DomainSpecs | None = Field(None, description="labelled images, only to report; as many as sources")
    target_test: DomainSpec | None = Field(None, description="labelled images, only ever used to report")
    dataset: str | AnySpec | None = Field(
        None, description=f"one data set, some of it labelled: {_KNOWN_SETS}, or your own with `target_test`"
    )
    labels: int | None = Field(
        None,
        ge=1,
        description="how many images of `dataset` are labelled, balanced by class; null: all of them",
        examples=[250],
    )
    label_seed: int = Field(0, ge=0, le=2**31 - 1, description="draws the labelled images, whatever the run's seed")
    test_fraction: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the labelled images that becomes the test set of a domain without one",
        examples=[0.2],
    )
    test_seed: int = Field(0, ge=0, le=2**31 - 1, description="draws those test sets, whatever the run's seed")
    class_map: ClassMap | None = Field(
        None,
        description="other names for classes, wherever they stand; one name for several joins them, null: left out",
        examples=[{"automobile": "car", "frog": None}],
    )
    classes: ClassNames | None = Field(
        None,
        description="take these classes alone, after every renaming; unset: all of them",
        examples=[["dog", "horse"]],
    )
    context: AnyContextConfig = Field(DomainContext(), description="what a context is")
    flips: bool | None = Field(
        None,
        description="is a mirrored image still its class? unset: as the pair or the data set says, else no",
        examples=[True],
    )

    class_mean: bool | None = Field(
        None,
        description="are accuracies means over classes, rare ones counting as much as frequent ones, and not over "
        "images? unset: as the protocol of the pair has it (visda2017), else no",
        examples=[True],
    )

    @field_validator("pair")
    @classmethod
    def _known_pair(cls, pair: str | None) -> str | None:
        if pair is not None and pair not in PAIRS:
            raise ValueError(f"no pair of this name{did_you_mean(pair, PAIRS)}; known: {_KNOWN_PAIRS}")
        return pair

    @field_validator("dataset", mode="before")
    @classmethod
    def _known_set(cls, dataset: Any) -> Any:
        if not isinstance(dataset, str):
            return parse_spec(dataset)
        if dataset not in DATASETS:
            near = did_you_mean(dataset, DATASETS)
            raise ValueError(f"no data set of this name{near}; known: {_KNOWN_SETS}, or {{folder: ...}} for your own")
        return dataset

    @field_validator("classes")
    @classmethod
    def _different(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        twice = sorted({name for name in classes or () if (classes or ()).count(name) > 1})
        if twice:
            raise ValueError(f"expected each class once, but {', '.join(twice)} stands there twice")
        return classes

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.dataset is not None:
            self._check_dataset()
        else:
            self._check_pair()
        return self

    def _check_dataset(self) -> None:
        for key in ("pair", "source", "target", "source_test", "target_labels_per_class", "target_imbalance"):
            if getattr(self, key) is not None:
                raise ValueError(f"data.dataset is one data set and has no data.{key}: drop one of the two")
        if self.target_classes == "fewer":
            raise ValueError("data.target_classes: fewer is of a pair of domains, and data.dataset is one: drop it")

    def _check_pair(self) -> None:
        if self.target_classes == "fewer" and self.target_labels_per_class is not None:
            raise ValueError(
                "data.target_labels_per_class labels images of every class, and with data.target_classes: fewer the "
                "target lacks some: drop one of the two"
            )
        if self.labels is not None:
            raise ValueError(
                "data.labels goes with data.dataset; in a pair, data.target_labels_per_class labels some of the target"
            )
        if self.pair is None and self.source is None and self.target is None:
            raise ValueError(
                f"give data.pair ({_KNOWN_PAIRS}), or data.source and data.target for your own, or data.dataset"
            )
        if self.pair is None and (self.source is None or self.target is None):
            given, missing = ("target", "source") if self.source is None else ("source", "target")
            raise ValueError(f"data.{given} is given but data.{missing} is not; give both, or a data.pair")
        if self.pair is not None and self.source is not None and self.target is not None:
            raise ValueError(
                f"data.source and data.target replace all of data.pair ({self.pair}): drop data.pair, or one of them"
            )
        sources, tests = len(as_tuple(self.source)) or 1, len(as_tuple(self.source_test))
        if tests not in (0, sources):
            raise ValueError(
                f"data.source_test has {tests} and data.source {sources}; expected as many, in the same order, or none"
            )
