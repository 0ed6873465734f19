import pytest
import torch

from dacn.trainer.meter import Meter, first_non_finite


def test_means_of_scalars_and_vectors_since_the_last_reading() -> None:
    meter = Meter()
    meter.add({"loss": torch.tensor(1.0), "p": torch.tensor([0.0, 1.0])})
    meter.add({"loss": torch.tensor(4.0), "p": torch.tensor([1.0, 1.0])})
    assert meter.read() == (2, {"loss": 2.5, "p": [0.5, 1.0]})
    meter.add({"loss": torch.tensor(7.0)})
    assert meter.read() == (1, {"loss": 7.0})


def test_what_is_added_is_not_changed_and_keeps_no_graph() -> None:
    meter, value = Meter(), torch.tensor(1.0, requires_grad=True)
    for _ in range(2):
        meter.add({"loss": 2 * value})
    assert value.item() == 1
    assert meter.read() == (2, {"loss": 2.0})


def test_a_buffer_that_is_written_over_counts_as_it_was() -> None:
    meter, buffer = Meter(), torch.tensor([1.0, 2.0])
    meter.add({"p": buffer})
    buffer.fill_(5)
    meter.add({"p": buffer})
    assert meter.read() == (2, {"p": [3.0, 3.5]})


def test_a_value_that_some_steps_lack_is_the_mean_of_those_that_have_it() -> None:
    meter = Meter()
    for step in range(4):
        meter.add({"loss": torch.tensor(float(step))} | ({"rare": torch.tensor(8)} if step == 2 else {}))
    assert meter.read() == (4, {"loss": 1.5, "rare": 8.0})
    assert meter.read() == (0, {})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_the_first_value_that_is_not_finite_is_named(bad: float) -> None:
    fine = {"a": torch.tensor(1.0), "b": torch.tensor([1.0, 2.0])}
    assert first_non_finite(fine) is None
    assert first_non_finite(fine | {"c": torch.tensor([1.0, bad]), "d": torch.tensor(bad)}) == "c"
