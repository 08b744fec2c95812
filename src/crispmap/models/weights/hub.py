"""Weights from the Hugging Face hub, where the network allows."""

from __future__ import annotations

from pathlib import Path

from crispmap.errors import ModelError
from crispmap.models.smp.names import library_name

_FILE = "model.safetensors"


def hub_weights(encoder: str) -> Path:
    """Return the file of an encoder's ImageNet weights, fetched from the hub or kept from an earlier time.

    Raises:
        ModelError: If there are none, or the hub cannot be reached; it names the file to fetch by other ways.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    repository, revision = _repository(encoder)
    try:
        return Path(hf_hub_download(repository, _FILE, revision=revision))
    except (OSError, HfHubHTTPError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"The weights of {encoder} cannot be fetched from the Hugging Face hub: {type(error).__name__}.",
            expected="a connection to the hub, or the file itself",
            remedy=f"fetch {_FILE} of the repository {repository} where there is a connection, and give its path as "
            f"weights",
        ) from error


def _repository(encoder: str) -> tuple[str, str | None]:
    """Return where the hub keeps an encoder's ImageNet weights, and their revision."""
    import timm
    from segmentation_models_pytorch.encoders import encoders

    name = library_name(encoder)
    if name in encoders:
        settings = encoders[name]["pretrained_settings"].get("imagenet")
        if settings is not None:
            return str(settings["repo_id"]), str(settings["revision"])
    else:
        configuration = timm.models.get_pretrained_cfg(name.removeprefix("tu-"))
        if configuration is not None and configuration.hf_hub_id:
            return str(configuration.hf_hub_id), None
    raise ModelError(
        f"There are no published ImageNet weights of {encoder}.",
        expected="an encoder that has some",
        remedy="give weights: random, or the path of a file",
    )
