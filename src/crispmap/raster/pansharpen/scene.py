"""A multispectral scene with the detail of a panchromatic one, computed when it is read."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from crispmap.errors import CrispmapWarning, GridError, SceneError
from crispmap.events import SILENT, Events
from crispmap.geo.grid import Block
from crispmap.raster.pansharpen.grids import overlap, ratio_of
from crispmap.raster.pansharpen.methods import (
    DEFAULT_METHOD,
    Injection,
    PansharpenMethod,
    check_weights,
    fit,
    needs_moments,
)
from crispmap.raster.pansharpen.mtf import CoarserScene
from crispmap.raster.pansharpen.registration import MovedScene, Shift
from crispmap.raster.pansharpen.statistics import scene_moments
from crispmap.raster.resample import SceneOnGrid
from crispmap.raster.scene import Scene, SceneReader
from crispmap.types import BoolArray, FloatArray

_COARSER = 0.999  # pixel sizes at least this near to each other are the same


class PansharpenedScene(Scene):
    """The bands of a multispectral scene with the detail of a panchromatic one, on its pixels where the two overlap.

    The bands are interpolated to the centres of the panchromatic pixels wherever these lie, so no ratio of pixel sizes
    and no offset needs care. A pixel is invalid where either scene is. Values depend on the pixel alone, never on
    the block it was read in, to the last bit.

    Attributes:
        inside: Its pixels in those of the panchromatic scene.
        injection: The formula with which detail is put into the bands.

    Raises:
        GridError: If the two do not overlap.
    """

    def __init__(self, multispectral: SceneReader, pan: SceneReader, injection: Injection) -> None:
        self.multispectral, self.pan = multispectral, pan
        self.inside = overlap(multispectral.grid, pan.grid)
        self.grid = pan.grid.window(self.inside)
        self.band_names, self.path = multispectral.band_names, multispectral.path
        self.injection = injection
        self._bands = SceneOnGrid(multispectral, self.grid, "cubic")
        self._low = None
        if injection.method == "hpm":
            self._low = SceneOnGrid(CoarserScene(pan, multispectral.grid), self.grid, "cubic")

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type of the multispectral values."""
        return self.multispectral.dtype if isinstance(self.multispectral, Scene) else np.dtype(np.float32)

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid."""
        bands, valid = self._bands.read(block)
        pan, valid_pan = self.pan.read(Block(block.row + self.inside.row, block.col + self.inside.col, *block.shape))
        valid = valid & valid_pan
        low = None
        if self._low is not None:
            (low,), valid_low = self._low.read(block)
            valid &= valid_low
        fused = self.injection.fused(bands, pan[0], low)
        if not valid.all():
            fused[:, ~valid] = 0.0
        return fused, valid

    def close(self) -> None:
        """Close both scenes."""
        for source in (self.multispectral, self.pan):
            if isinstance(source, Scene):
                source.close()


def open_pansharpened(
    multispectral: SceneReader,
    pan: SceneReader,
    method: PansharpenMethod = DEFAULT_METHOD,
    *,
    weights: Sequence[float] | None = None,
    shift: Shift | None = None,
    events: Events = SILENT,
) -> PansharpenedScene:
    """Return a pansharpened scene, its method fitted to both scenes; closing it closes them.

    Args:
        multispectral: The bands.
        pan: The panchromatic band, with smaller pixels, in the same CRS.
        method: How detail is put into the bands; see ``crispmap.raster.pansharpen.methods``.
        weights: Of the bands in the intensity, for the methods ``brovey``, ``ihs`` and ``gs``.
        shift: How far the multispectral scene lies from the panchromatic one, to be undone; see ``estimate_shift``.
        events: What progress is reported to.

    Raises:
        InputError: If the method is not known or the weights do not fit.
        SceneError: If the panchromatic scene has several bands, or there are no pixels to fit the method to.
        GridError: If CRS, pixel sizes or areas do not fit together.

    Warns:
        CrispmapWarning: If part of the multispectral scene has no panchromatic pixels.
    """
    check_weights(method, weights, multispectral.band_count)
    check_pair(multispectral, pan)
    if shift is not None:
        multispectral = MovedScene(multispectral, shift.applied(multispectral.grid))
    moments = None
    if needs_moments(method, weights):
        moments = scene_moments(
            multispectral,
            SceneOnGrid(pan, multispectral.grid, "average"),
            overlap(pan.grid, multispectral.grid),
            events,
        )
        if moments.count <= multispectral.band_count + 1:
            raise SceneError(
                f"{multispectral.path} and {pan.path} have data together in {moments.count} pixels.",
                expected="scenes that overlap where both have data", remedy="Check their nodata values.",
            )  # fmt: skip
    return PansharpenedScene(multispectral, pan, fit(method, moments, weights))


def check_pair(multispectral: SceneReader, pan: SceneReader) -> None:
    """Raise SceneError or GridError unless two scenes can be pansharpened; warn where they overlap only in part."""
    if pan.band_count != 1:
        raise SceneError(
            f"The panchromatic scene {pan.path} has {pan.band_count} bands.", expected="one band",
            remedy="Choose it with pan_band=, or give the scenes in the other order: the panchromatic one is the last.",
        )  # fmt: skip
    if multispectral.grid.crs != pan.grid.crs:
        names = ("none" if one.grid.crs is None else one.grid.crs.name for one in (multispectral, pan))
        raise GridError(
            "The coordinate systems of {} and {} differ: {} and {}.".format(multispectral.path, pan.path, *names),
            expected="scenes in one coordinate system",
            remedy="Warp the multispectral scene first: gdalwarp -t_srs does so.",
        )
    ratio = ratio_of(multispectral.grid, pan.grid)
    if min(ratio) * _COARSER <= 1:
        raise GridError(
            f"The pixels of {multispectral.path} are {ratio[1]:.4g} x {ratio[0]:.4g} of those of {pan.path}.",
            expected="a panchromatic scene with smaller pixels than the multispectral one",
            remedy="Give the panchromatic scene as the last.",
        )
    part = overlap(multispectral.grid, pan.grid)
    share = part.height * part.width / (multispectral.grid.height * multispectral.grid.width * ratio[0] * ratio[1])
    rim = 1 - (1 - 2 / multispectral.grid.height) * (1 - 2 / multispectral.grid.width)
    if share < 1 - rim:
        warnings.warn(
            f"{pan.path} covers {share:.0%} of {multispectral.path}: only that part is pansharpened.",
            CrispmapWarning, stacklevel=3,
        )  # fmt: skip
