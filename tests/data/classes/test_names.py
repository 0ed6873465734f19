from dacn.data.classes.class_map import rename_classes
from dacn.data.classes.names import alike
from dacn.data.domain import Domain
from tests import made_up

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def a_domain(classes: tuple[str, ...]) -> Domain:
    made = made_up.domain("x", 4, seed=0, tint=0)
    return Domain("x", made.images, made.labels, classes)


def test_class_names_are_kept_composed() -> None:
    assert a_domain((DECOMPOSED, "dog")).classes == (COMPOSED, "dog")


def test_a_class_map_may_be_of_either_form() -> None:
    for old in (COMPOSED, DECOMPOSED):
        assert rename_classes(a_domain((COMPOSED, "dog")), {old: "bar"}).classes == ("bar", "dog")
    assert rename_classes(a_domain(("bar", "dog")), {"bar": DECOMPOSED}).classes == (COMPOSED, "dog")


def test_names_that_only_look_the_same() -> None:
    assert alike(["Dog", "cat", " dog", "DOG ", "hot dog", "hot  Dog", "hotdog"]) == [
        ["Dog", " dog", "DOG "],
        ["hot dog", "hot  Dog"],
    ]
    assert alike(["cat", "cat", "dog"]) == []
