"""crispmap: crisp, georeferenced class maps from satellite and aerial scenes.

    >>> import crispmap, numpy
    >>> crispmap.area(numpy.array([[0, 1], [1, 255]], "uint8"), classes=["other", "building"], gsd_m=2.0)
    {'other': 4.0, 'building': 8.0}

Importing the package loads neither torch nor rasterio; every function is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapError
from crispmap.geo.grid import Block, Grid

if TYPE_CHECKING:
    from crispmap.api.alignment import align
    from crispmap.api.areas import area, change, sample
    from crispmap.api.chips import chips
    from crispmap.api.exporting import export_model
    from crispmap.api.figures import evaluate, evaluate_objects, vectorize
    from crispmap.api.maps import predict, refine
    from crispmap.api.pansharpening import pansharpen
    from crispmap.api.rasters import compose, resample
    from crispmap.api.training import train
    from crispmap.models.file import load_model
    from crispmap.models.model import Model
    from crispmap.models.own_module import coarse_model
    from crispmap.project.dataset import Dataset
    from crispmap.raster.files import open_scene

__all__ = [
    "Block",
    "ClassDef",
    "ClassSchema",
    "CrispmapError",
    "Dataset",
    "Grid",
    "Model",
    "__version__",
    "align",
    "area",
    "change",
    "chips",
    "coarse_model",
    "compose",
    "evaluate",
    "evaluate_objects",
    "export_model",
    "load_model",
    "open_scene",
    "pansharpen",
    "predict",
    "refine",
    "resample",
    "sample",
    "train",
    "vectorize",
]

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "crispmap.project.dataset",
    "Model": "crispmap.models.model",
    "align": "crispmap.api.alignment",
    "area": "crispmap.api.areas",
    "change": "crispmap.api.areas",
    "chips": "crispmap.api.chips",
    "coarse_model": "crispmap.models.own_module",
    "compose": "crispmap.api.rasters",
    "evaluate": "crispmap.api.figures",
    "evaluate_objects": "crispmap.api.figures",
    "export_model": "crispmap.api.exporting",
    "load_model": "crispmap.models.file",
    "open_scene": "crispmap.raster.files",
    "pansharpen": "crispmap.api.pansharpening",
    "predict": "crispmap.api.maps",
    "refine": "crispmap.api.maps",
    "resample": "crispmap.api.rasters",
    "sample": "crispmap.api.areas",
    "train": "crispmap.api.training",
    "vectorize": "crispmap.api.figures",
}


def __getattr__(name: str) -> Any:
    """Load a function of the public door when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
