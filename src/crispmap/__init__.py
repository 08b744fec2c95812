"""crispmap: crisp, georeferenced class maps from satellite and aerial scenes.

Importing the package loads neither torch nor rasterio; the stages live in its sub-packages.
"""

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapError
from crispmap.geo.grid import Block, Grid

__all__ = ["Block", "ClassDef", "ClassSchema", "CrispmapError", "Grid", "__version__"]

__version__ = "0.1.0"
