"""What xarray DataArrays say of their pixels: rows, columns, place and bands; and results as such arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from crispmap.errors import GridError, InputError
from crispmap.geo.grid import Grid
from crispmap.types import IGNORE


class Georeference(TypedDict, total=False):
    """Where the pixels of an array are.

    Attributes:
        crs: Anything pyproj understands, rasterio's CRS too: "EPSG:32631", 32631, WKT.
        transform: Maps pixel positions (col, row) to coordinates.
        gsd_m: Side of a pixel in metres, in place of both.
    """

    crs: object
    transform: Affine
    gsd_m: float


def is_data_array(image: object) -> bool:
    """Return whether an object is an xarray DataArray, without importing xarray."""
    return type(image).__name__ == "DataArray" and type(image).__module__.startswith("xarray.")


def as_data_array(image: Any) -> Any:
    """Return an xarray Dataset of one variable a band as a DataArray of them; anything else as it is.

    Dimensions of one place, such as the time of a single scene, are left out.
    """
    if type(image).__name__ != "Dataset" or not type(image).__module__.startswith("xarray."):
        return image
    import rioxarray  # noqa: F401 - brings .rio

    nodata = {one.rio.nodata for one in image.data_vars.values()}
    if not nodata:
        raise InputError("The Dataset has no variable.", expected="one variable a band")
    array = image.to_dataarray("band")
    kept = {"band", *spatial_dims(array)}
    array = array.squeeze([dim for dim in array.dims if dim not in kept and array.sizes[dim] == 1], drop=True)
    return array.rio.write_nodata(nodata.pop()) if len(nodata) == 1 and None not in nodata else array


def spatial_dims(image: Any) -> tuple[str, str]:
    """Return the names of a DataArray's dimensions of rows and columns."""
    import rioxarray  # noqa: F401 - brings .rio

    if {"lat", "lon"} <= set(image.dims):
        return "lat", "lon"
    try:
        return str(image.rio.y_dim), str(image.rio.x_dim)
    except Exception as error:
        raise InputError(
            f"The DataArray has the dimensions {', '.join(map(str, image.dims))}.",
            expected="dimensions of rows and columns called y and x",
            remedy="rename them with rename(...)",
        ) from error


def own_georeference(image: Any) -> Georeference:
    """Return what a DataArray says of its place; nothing where it has no coordinates."""
    y_dim, x_dim = spatial_dims(image)
    if y_dim not in image.coords or x_dim not in image.coords:
        return {}
    transform = image.rio.set_spatial_dims(x_dim=x_dim, y_dim=y_dim).rio.transform()
    (dy, top), (dx, left) = (_spacing(image, dim) for dim in (y_dim, x_dim))
    if not (dx or dy):
        return {}
    if not (dx and dy):  # one row or column: its pixels are taken for square
        dx, dy = dx or abs(dy), dy or -abs(dx)
    shown = Affine(dx, 0.0, left - dx / 2, 0.0, dy, top - dy / 2)
    # What the attributes say is exact, unless rows or columns were put in another order or cut since.
    exact = Grid(None, transform, (2, 2)).is_close(Grid(None, shown, (2, 2)))
    return {"crs": image.rio.crs, "transform": transform if exact else shown}


def band_names_of(image: Any, dim: str) -> tuple[str, ...]:
    """Return the names of bands: those of the coordinate, or where that counts them, as rioxarray reads them."""
    given, described = image.coords[dim].to_numpy(), image.attrs.get("long_name", ())
    if (
        given.dtype.kind in "iu"
        and isinstance(described, list | tuple)
        and 1 <= given.min() <= given.max() <= len(described)
    ):
        return tuple(str(described[number - 1] or number) for number in given)
    return tuple(str(name) for name in given)


def like(image: Any, values: NDArray[Any], names: tuple[str, ...] = (), attrs: Mapping[str, str] | None = None) -> Any:
    """Return values (row, col) or (band, row, col) as the same kind of array as an image, on the same pixels.

    Args:
        image: The image; of a DataArray the coordinates and the CRS are kept.
        values: On the image's pixels.
        names: Of the bands, for the coordinate ``band``.
        attrs: Attributes of a DataArray.
    """
    image = as_data_array(image)
    if not is_data_array(image):
        return values
    import xarray

    spatial = spatial_dims(image)
    coords = {name: one for name, one in image.coords.items() if set(one.dims) <= set(spatial)}
    dims = spatial if values.ndim == 2 else ("band", *spatial)
    # What files hold: the descriptions of bands, and the value of pixels without data.
    about: dict[str, Any] = {"_FillValue": IGNORE if values.dtype == np.uint8 else np.nan, **(attrs or {})}
    if names and values.ndim == 3:
        coords["band"], about["long_name"] = list(names), tuple(names)
    return xarray.DataArray(values, coords=coords, dims=dims, attrs=about)


def _spacing(image: Any, dim: str) -> tuple[float, float]:
    """Return the step of a coordinate, 0 of a single one, and the first."""
    values = image.coords[dim].to_numpy().astype(np.float64)
    steps = np.diff(values)
    if len(steps) > 1 and np.ptp(steps) > 0.01 * abs(steps.mean()):
        raise GridError(f"The coordinate {dim} is not evenly spaced.", expected="pixels of one size")
    return (float(steps.mean()) if len(steps) else 0.0), float(values[0])
