"""The accessor ``.crispmap`` of DataArrays, there once this module is imported.

>>> import crispmap.xarray
>>> image.crispmap.predict("coarse.safetensors").crispmap.area(["background", "building"])  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import xarray

from crispmap.api import areas, figures, maps
from crispmap.api.given import Classes, ModelLike
from crispmap.api.pictures import picture_of
from crispmap.files.notebook import html_picture

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from crispmap.evaluation.evaluation import Evaluation
    from crispmap.raster.arrays import RasterLike


@xarray.register_dataarray_accessor("crispmap")
class CrispmapAccessor:
    """The public door for a DataArray with coordinates and a CRS: an image, or a class map.

    In a notebook it shows the picture of either, small, and of a map the classes with their shares.
    """

    def __init__(self, array: xarray.DataArray) -> None:
        self._array = array

    def _repr_html_(self) -> str:
        picture, legend = picture_of(self._array)
        return f"<figure>{html_picture(picture)}{legend}</figure>"

    def predict(
        self, model: ModelLike, refiner: ModelLike | None = None, *, output: Literal["classes", "scores"] = "classes"
    ) -> xarray.DataArray:
        """Map this image; see ``crispmap.predict``."""
        mapped: xarray.DataArray = maps.predict(self._array, model, refiner, output=output)
        return mapped

    def evaluate(self, reference: RasterLike, **options: Any) -> Evaluation:
        """Return how well this map agrees with a reference; see ``crispmap.evaluate``."""
        return figures.evaluate(self._array, reference, **options)

    def area(self, classes: Classes | None = None) -> dict[str, float]:
        """Return the area of every class of this map in square metres; see ``crispmap.area``."""
        return cast("dict[str, float]", areas.area(self._array, classes=classes))

    def vectorize(self, classes: Classes | None = None, **options: Any) -> GeoDataFrame:
        """Return the regions of this map as polygons; see ``crispmap.vectorize``."""
        return figures.vectorize(self._array, classes=classes, **options)
