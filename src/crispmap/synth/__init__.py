"""The generated town: a place with an exact truth and OpenStreetMap-like imprecise labels."""

from crispmap.synth.features import Town
from crispmap.synth.osm import MappingErrors, OsmLayers, map_town
from crispmap.synth.relief import Sun
from crispmap.synth.render import render
from crispmap.synth.town import plan_town
from crispmap.synth.truth import TOWN_SCHEMA, true_classes, true_vectors
from crispmap.synth.write import TownFiles, town_grid, write_town

__all__ = [
    "TOWN_SCHEMA",
    "MappingErrors",
    "OsmLayers",
    "Sun",
    "Town",
    "TownFiles",
    "map_town",
    "plan_town",
    "render",
    "town_grid",
    "true_classes",
    "true_vectors",
    "write_town",
]
