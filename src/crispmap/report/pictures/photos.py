"""Photos: images of any number type and size as pictures of a page."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crispmap.errors import InputError, number_of
from crispmap.types import BoolArray

ByteArray = NDArray[np.uint8]

UNKNOWN_GREY = 128  # invalid pixels: photos have no transparency
_DARKER = [50 + level * 140 // 255 for level in range(256)]
_STRETCH_SAMPLES = 1_000_000


def rgb_preview(
    image: NDArray[Any], bands: tuple[int, int, int] = (0, 1, 2), valid: BoolArray | None = None
) -> ByteArray:
    """Return a picture of an image, each band stretched between its 2nd and 98th percentile.

    Args:
        image: (band, row, col) of any number type; NaN and infinite pixels count as unknown.
        bands: The bands shown as red, green and blue; an image of one or two bands shows its first in grey.
        valid: Valid pixels, bool (row, col); all by default.

    Returns:
        uint8 (3, row, col). Unknown pixels, and bands of one constant value, are mid-grey.

    Raises:
        InputError: If the image does not have three axes, is empty, lacks a band, or differs in shape from the mask.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise InputError(f"An image of shape {image.shape}.", expected="(band, row, col), none of them 0")
    count = image.shape[0]
    chosen = (0, 0, 0) if count < 3 else bands
    if not all(0 <= band < count for band in chosen):
        raise InputError(
            f"Bands {bands} of an image with {number_of(count, 'band')}.", expected=f"bands 0 to {count - 1}"
        )
    if valid is not None and valid.shape != image.shape[1:]:
        raise InputError(
            f"A mask of shape {valid.shape} for an image of shape {image.shape}.",
            expected="the image's rows and columns",
        )
    mask = np.True_ if valid is None else valid
    return np.stack([_stretched(np.asarray(image[band], dtype=np.float64), mask) for band in chosen])


def _stretched(band: NDArray[np.float64], valid: BoolArray | np.bool_) -> ByteArray:
    """Return one band (row, col) as bytes between its 2nd and 98th percentile."""
    known = np.isfinite(band) & valid
    out = np.full(band.shape, UNKNOWN_GREY, dtype=np.uint8)
    values = band[known]
    if values.size == 0:
        return out
    sample = values[:: max(1, values.size // _STRETCH_SAMPLES)]
    low, high = np.percentile(sample, (2, 98))
    if not high > low:  # a mask or a nearly constant band: show its rare values
        low, high = float(values.min()), float(values.max())
    if high > low:
        # Halves first: the difference of two huge values may not be a float.
        share = (values / 2 - low / 2) / (high / 2 - low / 2)
        out[known] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return out


def every(array: NDArray[Any], max_side_px: int) -> NDArray[Any]:
    """Return an array (..., row, col) thinned to every n-th pixel, with the smallest n that bounds its sides."""
    return every_nth(array, thinning(array.shape[-2:], max_side_px))


def every_nth(array: NDArray[Any], n: int) -> NDArray[Any]:
    """Return the middle ones of each n pixels along both sides of an array (..., row, col), one of fewer at an end."""
    rows, cols = (np.minimum(np.arange(-(-side // n)) * n + n // 2, side - 1) for side in array.shape[-2:])
    return array if n == 1 else array[..., rows[:, None], cols[None, :]]


def averaged(image: NDArray[Any], n: int) -> NDArray[np.float32]:
    """Return the means of n x n pixels of an image (band, row, col); at the ends its last row and column count on."""
    height, width = (side + -side % n for side in image.shape[-2:])
    whole = np.pad(image, ((0, 0), (0, height - image.shape[1]), (0, width - image.shape[2])), "edge")
    means: NDArray[np.float32] = whole.reshape(-1, height // n, n, width // n, n).mean((2, 4), dtype=np.float32)
    return means


def thinning(shape: tuple[int, ...], max_side_px: int) -> int:
    """Return how many pixels along a side become one, so that no side is longer."""
    return max(1, -(-max(shape) // max_side_px))


def photo_jpeg(rgb: ByteArray, *, max_side_px: int = 1 << 16, quality: int = 85, grey: bool = False) -> bytes:
    """Return a photo, uint8 (3, row, col), as JPEG, averaged over whole pixels down to the sides of ``every``.

    In grey it is darkened to lie below coloured marks.

    Raises:
        InputError: If the array is not uint8 (3, row, col).
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[0] != 3 or 0 in rgb.shape:
        raise InputError(
            f"A photo of shape {rgb.shape} and type {rgb.dtype}.",
            expected="uint8 (3, row, col)",
            remedy="make one from any image with rgb_preview",
        )
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(rgb, 0, -1)))
    n = thinning(rgb.shape[1:], max_side_px)
    picture = picture.reduce(n) if n > 1 else picture
    if grey:
        picture = picture.convert("L").point(_DARKER)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
