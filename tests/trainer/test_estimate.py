import torch

from dacn.models.build import ModelConfig, build_model
from dacn.trainer.estimate import estimate_seconds


def test_estimate_grows_with_the_images_and_changes_nothing() -> None:
    model = build_model(ModelConfig.model_validate({"backbone": {"name": "small_cnn", "width": 4}}), 3, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    seconds = estimate_seconds(model, 16, 10_000)
    assert 0 < seconds < 1000
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(parameter.grad is None for parameter in model.parameters())
