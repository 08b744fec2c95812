"""Names of encoders: those of segmentation-models-pytorch, and those of timm."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

LITE0 = "tf_efficientnet_lite0"
_KNOWN = (LITE0, "resnet18", "resnet34", "resnet50", "resnet101")  # checked without importing what knows all names
_TIMM = "tu-"  # what segmentation-models-pytorch puts before names of timm


def checked_encoder(name: str) -> str:
    """Return the name of an encoder, or raise ValueError with the nearest names."""
    if name not in _KNOWN:
        library_name(name)
    return name


def library_name(name: str) -> str:
    """Return an encoder's name as segmentation-models-pytorch takes it.

    Raises:
        ValueError: If there is no such encoder; it names the nearest.
    """
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    own, plain = get_encoder_names(), name.removeprefix(_TIMM)
    if name in own and not name.startswith("timm-"):
        return name
    if timm.is_model(plain):
        return _TIMM + plain
    names = [one for one in own if not one.startswith("timm-")] + timm.list_models()
    raise ValueError(f"there is no encoder {name!r}{nearest(name, names)}")


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a question after the nearest of some names, to end a message with; empty where none is near."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""
