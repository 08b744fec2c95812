"""The image of a scene as a layer: its file as it lies on the disk, or, of scenes made of several, what they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from crispmap.files.address import is_plain_file
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene
from crispmap.viewer.found import layers_of, look_at
from crispmap.viewer.label_source import ScenePixels
from crispmap.viewer.layers import Layer, stretched
from crispmap.viewer.pyramid import Pyramid


def image_layer(
    ref: SceneRef, image: Scene, pyramid: Pyramid, new_id: Callable[[], str], bands: Sequence[int] = ()
) -> Layer:
    """Return the image of a scene.

    Args:
        image: The scene, opened, as it is read where its file alone does not do.
        bands: Those to show; by default the first three that the scene is read in.

    Raises:
        SceneError: If it cannot be read.
    """
    if len(ref.files) == 1 and ref.composition is None and ref.nodata is None and not ref.band_names:
        chosen = tuple(bands) or (ref.bands[:3] if ref.bands and len(ref.bands) >= 3 else ())
        found = look_at(Path(ref.files[0]), chosen)
        if found.kind == "image":
            return layers_of(found, pyramid, "image", new_id)[0]
    return computed_image(ref, image, pyramid, new_id, bands)


def computed_image(
    ref: SceneRef, image: Scene, pyramid: Pyramid, new_id: Callable[[], str], bands: Sequence[int] = ()
) -> Layer:
    """Return the image of a scene that is read through ``image``; see ``image_layer``."""
    shown = tuple(bands) or ((1, 2, 3) if image.band_count >= 3 else (1,))
    source = ScenePixels(image, pyramid, shown)
    files = tuple(Path(one) for one in ref.files if is_plain_file(one))
    names = tuple(image.band_names[number - 1] for number in shown)
    return Layer(new_id(), "image", "image", source,
                 lambda: stretched(source, pyramid, image.dtype.name, len(shown)), files, bands=names)  # fmt: skip
