"""OpenStreetMap: ready-made tag rules for classes that are visible from above.

A project file may name a preset instead of writing rules. What is left out, and why:

* ``road`` holds roads for cars and similar surfaces. Footways, paths, steps, cycleways and bridleways are narrower than
  a pixel or hidden under trees, and tracks look like bare soil: as labels they teach a network that grass is road. They
  have their own presets (``path``, ``track``). Tunnels and passages through buildings are invisible.
* ``building`` leaves out underground buildings.
* ``water`` holds areas, ``waterway`` the lines of streams and rivers.
"""

from __future__ import annotations

from crispmap.classes import ROAD_WIDTH_M, ClassDef, ClassSchema
from crispmap.errors import SchemaError

_MAJOR_ROADS = "|".join(f"{one}|{one}_link" for one in ("motorway", "trunk", "primary", "secondary", "tertiary"))
_CAR_ROADS = f"{_MAJOR_ROADS}|unclassified|residential|living_street|service|pedestrian|road|busway"
_SEEN = "tunnel!=yes|building_passage|avalanche_protector|culvert & covered!=yes & location!=underground"

_CLASSES = (
    ClassDef("background", "#f2efe9"),
    ClassDef("building", "#d7191c", ("building=* & location!=underground",)),
    ClassDef("road", "#fdae61", (f"highway={_CAR_ROADS} & {_SEEN}",)),
    ClassDef("major_road", "#e8863b", (f"highway={_MAJOR_ROADS} & {_SEEN}",), 10.0),
    ClassDef("track", "#c2976b", (f"highway=track & {_SEEN}",), 3.0),
    ClassDef("path", "#f7c9a9", (f"highway=footway|path|steps|cycleway|bridleway & {_SEEN}",), 2.0),
    ClassDef("railway", "#6b6b6b", (f"railway=rail|light_rail|tram|narrow_gauge|subway & {_SEEN}",), 3.5),
    ClassDef("parking", "#dfd3e6", ("amenity=parking & parking!=underground|multi-storey",)),
    ClassDef(
        "water",
        "#2c7bb6",
        (
            "natural=water|bay & location!=underground",
            "waterway=riverbank|dock|boatyard",
            "landuse=reservoir|basin|salt_pond",
            "water=*",
        ),
    ),
    ClassDef("waterway", "#5aa5d6", (f"waterway=river|stream|canal|drain|ditch & {_SEEN}",), 4.0),
    ClassDef("forest", "#1a7a3a", ("landuse=forest", "natural=wood")),
    ClassDef(
        "vegetation",
        "#5fae57",
        (
            "landuse=forest|meadow|grass|orchard|vineyard|village_green|allotments|plant_nursery|recreation_ground",
            "natural=wood|scrub|heath|grassland|fell|wetland|tree_row",
            "leisure=park|garden|nature_reserve|golf_course",
        ),
    ),
    ClassDef("grass", "#a6d96a", ("landuse=grass|meadow|village_green", "natural=grassland")),
    ClassDef("farmland", "#e6e29a", ("landuse=farmland|orchard|vineyard|greenhouse_horticulture",)),
    ClassDef("bare", "#cbb79b", ("natural=bare_rock|sand|beach|scree|shingle", "landuse=quarry")),
)
OSM_PRESETS = {one.name: one.osm for one in _CLASSES[1:]}  # tag rules by the name a project file may use
PRESET_COLOURS = {one.name: one.colour for one in _CLASSES}  # also of the background
# Total width of lines without a width of their own, where it is not that of a road
PRESET_WIDTHS_M = {one.name: one.width_m for one in _CLASSES if one.width_m != ROAD_WIDTH_M}
DEFAULT_CLASSES = ("building", "road")


def preset_class(name: str) -> ClassDef:
    """Return the class of a preset, or the background, with its rules, colour and line width.

    Raises:
        SchemaError: If there is no such preset.
    """
    preset = next((one for one in _CLASSES if one.name == name), None)
    if preset is None:
        raise SchemaError(
            f"There is no preset class {name!r}.",
            expected=f"one of {', '.join(OSM_PRESETS)}",
            remedy="Name one of these, or write the class with its own OSM rules into a file of classes.",
        )
    return preset


def preset_schema(names: tuple[str, ...] | list[str] = DEFAULT_CLASSES) -> ClassSchema:
    """Return a schema of the background and the named presets, drawn in the order given.

    Raises:
        SchemaError: If a preset is unknown, named twice, or none is named.
    """
    foreground = [name for name in names if name != "background"]
    return ClassSchema(tuple(preset_class(name) for name in ("background", *foreground)))


def default_schema(all_as: str | None = None) -> ClassSchema:
    """Return the default classes, with the preset ``all_as`` if it is another one."""
    extra = () if all_as is None or all_as in DEFAULT_CLASSES or all_as not in OSM_PRESETS else (all_as,)
    return preset_schema((*DEFAULT_CLASSES, *extra))
