"""Names of timm's classifiers."""

from __future__ import annotations

from crispmap.models.smp.names import LITE0, nearest

_KNOWN = (LITE0, "resnet18", "resnet34", "resnet50")  # checked without importing what knows all names


def checked_model(name: str) -> str:
    """Return the name of a classifier.

    Raises:
        ValueError: If timm has no such classifier; it names the nearest.
    """
    if name in _KNOWN:
        return name
    import timm

    if timm.is_model(name):
        return name
    raise ValueError(f"timm has no model {name!r}{nearest(name, timm.list_models())}")
