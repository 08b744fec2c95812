"""Classifiers of timm on squares: those of every kind, any bands, weights to start from, and what is refused."""

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from crispmap.errors import ModelError
from crispmap.models.registry import architectures
from crispmap.models.timm_classifier.names import checked_model
from crispmap.models.timm_classifier.network import timm_classifier
from crispmap.models.weights.lite0 import lite0_weights
from crispmap.project.file.networks import CoarseSection


@pytest.mark.parametrize("model", ["test_resnet", "test_convnext", "test_efficientnet", "test_vit", "test_mambaout"])
def test_a_square_gets_the_scores_it_gets_alone(model):
    torch.manual_seed(0)
    network = timm_classifier(5, 3, square_px=64, model=model).eval()
    image = torch.rand(2, 5, 128, 192)
    with torch.no_grad():
        scores = network(image)
        alone = network.classify(image[1:, :, 64:, 64:128])
    assert scores.shape == (2, 3, 128, 192)
    torch.testing.assert_close(scores[1:, :, 64:, 64:128], alone[:, :, None, None].expand(-1, -1, 64, 64))


def test_features_start_from_the_weights_that_come_along():
    network = timm_classifier(3, 2, square_px=96, weights="imagenet-lite0").eval()
    whole = timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()
    whole.load_state_dict(lite0_weights(), strict=False)
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(
            network.features(image), whole.forward_head(whole.forward_features(image), pre_logits=True)
        )
    assert network.encoder_start["weights_left_out"] == 2  # the classifier


def test_a_file_of_weights_is_read_for_any_number_of_bands(tmp_path):
    tensors = timm.create_model("test_resnet", num_classes=7).state_dict()
    save_file({name: value.contiguous() for name, value in tensors.items()}, tmp_path / "w.safetensors")
    network = timm_classifier(2, 3, square_px=32, model="test_resnet", weights=str(tmp_path / "w.safetensors"))
    first = "conv1.0.weight" if "conv1.0.weight" in tensors else "conv1.weight"
    torch.testing.assert_close(network.features.state_dict()[first], tensors[first][:, :2] * 1.5)
    with pytest.raises(ModelError, match="another encoder"):
        timm_classifier(2, 3, square_px=32, model="test_convnext", weights=str(tmp_path / "w.safetensors"))


def test_batch_normalisation_is_as_learned_in_evaluation():
    torch.manual_seed(0)
    network = timm_classifier(3, 2, square_px=32, model="test_resnet").eval()
    image = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        both, first = network(image), network(image[..., :32])
    torch.testing.assert_close(both[..., :32], first)


def test_a_model_that_does_not_exist_names_the_nearest():
    with pytest.raises(ValueError, match="resnet50"):
        checked_model("resnet5O")
    with pytest.raises(ValidationError, match="did you mean"):
        CoarseSection.of("timm", model="efficientnet_lite")
    assert checked_model("convnext_atto") == "convnext_atto"


def test_squares_that_a_model_cannot_see_are_refused():
    with pytest.raises(ModelError, match="squares of 8 pixels"):
        architectures("coarse")["timm"].build(model="test_convnext", square_px=8)
