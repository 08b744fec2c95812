"""Whether an exported graph gives what the network gives in PyTorch, and what a map of the same pixels has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from affine import Affine
from scipy.special import softmax

from crispmap.errors import SceneError
from crispmap.geo.grid import Block, Grid
from crispmap.inference.engines import EngineChoice
from crispmap.inference.runtimes.formats import Run
from crispmap.inference.runtimes.network import WholeNetwork
from crispmap.inference.scores import score_work
from crispmap.raster.arrays import ArrayScene
from crispmap.raster.files import open_scene
from crispmap.raster.refs import SceneRef
from crispmap.types import FloatArray

MOST_DIFFERENT = 1e-4
_SIDE_PX = 96


@dataclass(frozen=True)
class Difference:
    """The largest differences of a probability on some pixels."""

    pixels: str  # "random" or "real"
    torch: float  # to the network in PyTorch
    map: float | None  # to crispmap's own map; None where that blends tiles, as no graph does

    @property
    def largest(self) -> float:
        """The larger of both; NaN where either is."""
        return float(np.max([self.torch, self.map or 0.0]))


def largest_of(found: Sequence[Difference]) -> float:
    """Return the largest of several; NaN where any is."""
    return float(np.max([one.largest for one in found]))


def random_pixels(network: WholeNetwork, size_px: int | None = None) -> list[FloatArray]:
    """Return raw pixels (batch, band, row, col) as a scene may have them, of two shapes where the graph takes any."""
    stride, scaling = network.stride_px, network.card.scaling
    side = size_px or max(2, -(-_SIDE_PX // stride)) * stride
    more = 0 if size_px else 3 * network.side_px
    random = np.random.default_rng(0)
    offset, scale = (np.array(values)[:, None, None] for values in (scaling.offset, scaling.scale))
    shapes = (2, len(offset), side + more, side), (1, len(offset), side, side + 2 * more)
    drawn = [(random.normal(size=shape) * scale + offset).astype(np.float32) for shape in shapes]
    drawn[0][0, :, :3, :5] = np.nan  # what is not known is part of the promise
    return drawn


def real_pixels(network: WholeNetwork, scene: SceneRef, size_px: int | None = None) -> FloatArray:
    """Return the pixels of a window in the middle of a scene at the network's pixel size, NaN where not known.

    Raises:
        SceneError: If the scene cannot be read, has other bands, is too small, or has no valid pixel there.
    """
    step, card = network.side_px, network.card
    with open_scene(scene, gsd_m=card.gsd_m) as image:
        network.score_models.check(image, None)
        most = min(image.grid.shape) // step * step
        side = size_px or min(most, 2 * max(_SIDE_PX, network.stride_px) // step * step)
        if side <= network.stride_px or side > most:
            raise SceneError(
                f"{scene.path} is {image.grid.height} x {image.grid.width} pixels at {card.gsd_m:g} m.",
                expected=f"at least {size_px or network.stride_px + step} pixels either way",
                remedy="give a larger scene=",
            )  # fmt: skip
        corner = [(length - side) // 2 for length in image.grid.shape]
        pixels, valid = image.read(Block(corner[0], corner[1], side, side))
    if not valid.any():
        raise SceneError(f"{scene.path} has no valid pixel in its middle.", expected="a scene with pixels there")
    pixels[:, ~valid] = np.nan
    return pixels[None]


def differences(
    network: WholeNetwork, reference: Run, run: Run, inputs: Sequence[tuple[str, FloatArray]]
) -> Iterator[Difference]:
    """Yield how far a runtime is from PyTorch and from the map of the same pixels, on each of some inputs."""
    models = network.score_models
    for name, pixels in inputs:
        given = run(pixels)
        apart = float(np.abs(given - reference(pixels)).max())
        pairs = zip(pixels, given, strict=True)
        own = None if models.blended else float(np.max([_from_map(network, *pair) for pair in pairs]))
        yield Difference(name, apart, own)


def _from_map(network: WholeNetwork, pixels: FloatArray, given: FloatArray) -> float:
    """Return the largest difference of a probability (class, row, col) from those of a map of the pixels."""
    side = network.card.gsd_m
    scene = ArrayScene(pixels, Grid(None, Affine.scale(side, -side), (pixels.shape[1], pixels.shape[2])))
    work = score_work(scene, network.score_models, engine=EngineChoice(device="cpu"))
    with ThreadPoolExecutor(1) as pool:
        layers = work.compute(scene.grid.block, pool)
    if layers is None:
        return 0.0
    scores, valid = layers[0]
    return float(np.abs(softmax(scores, axis=0) - given)[:, valid].max())
