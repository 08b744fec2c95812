"""Class maps as polygons, for other programs."""
