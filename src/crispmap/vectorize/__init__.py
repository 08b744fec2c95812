"""Maps for other programs: class maps as polygons."""
