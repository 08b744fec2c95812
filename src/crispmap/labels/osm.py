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

_CAR_ROADS = "|".join(
    (
        "motorway|motorway_link|trunk|trunk_link|primary|primary_link|secondary|secondary_link|tertiary|tertiary_link",
        "unclassified|residential|living_street|service|pedestrian|road|busway",
    )
)
_SEEN = "tunnel!=yes|building_passage|avalanche_protector|culvert & covered!=yes & location!=underground"

OSM_PRESETS: dict[str, tuple[str, ...]] = {
    "building": ("building=* & location!=underground",),
    "road": (f"highway={_CAR_ROADS} & {_SEEN}",),
    "major_road": (
        "highway=motorway|motorway_link|trunk|trunk_link|primary|primary_link|secondary|secondary_link|tertiary"
        f"|tertiary_link & {_SEEN}",
    ),
    "track": (f"highway=track & {_SEEN}",),
    "path": (f"highway=footway|path|steps|cycleway|bridleway & {_SEEN}",),
    "railway": (f"railway=rail|light_rail|tram|narrow_gauge|subway & {_SEEN}",),
    "parking": ("amenity=parking & parking!=underground|multi-storey",),
    "water": (
        "natural=water|bay & location!=underground",
        "waterway=riverbank|dock|boatyard",
        "landuse=reservoir|basin|salt_pond",
        "water=*",
    ),
    "waterway": (f"waterway=river|stream|canal|drain|ditch & {_SEEN}",),
    "forest": ("landuse=forest", "natural=wood"),
    "vegetation": (
        "landuse=forest|meadow|grass|orchard|vineyard|village_green|allotments|plant_nursery|recreation_ground",
        "natural=wood|scrub|heath|grassland|fell|wetland|tree_row",
        "leisure=park|garden|nature_reserve|golf_course",
    ),
    "grass": ("landuse=grass|meadow|village_green", "natural=grassland"),
    "farmland": ("landuse=farmland|orchard|vineyard|greenhouse_horticulture",),
    "bare": ("natural=bare_rock|sand|beach|scree|shingle", "landuse=quarry"),
}
"""Tag rules by the name a project file may use."""

PRESET_COLOURS: dict[str, str] = {
    "background": "#f2efe9",
    "building": "#d7191c",
    "road": "#fdae61",
    "major_road": "#e8863b",
    "track": "#c2976b",
    "path": "#f7c9a9",
    "railway": "#6b6b6b",
    "parking": "#dfd3e6",
    "water": "#2c7bb6",
    "waterway": "#5aa5d6",
    "forest": "#1a7a3a",
    "vegetation": "#5fae57",
    "grass": "#a6d96a",
    "farmland": "#e6e29a",
    "bare": "#cbb79b",
}
"""A map colour for every preset and for the background."""

PRESET_WIDTHS_M: dict[str, float] = {"track": 3.0, "path": 2.0, "railway": 3.5, "waterway": 4.0, "major_road": 10.0}
"""Total width on the ground of lines without a width of their own, where it is not that of a road."""

DEFAULT_CLASSES = ("building", "road")


def preset_class(name: str) -> ClassDef:
    """Return the class of a preset, or the background, with its rules, colour and line width.

    Raises:
        SchemaError: If there is no such preset.
    """
    if name not in PRESET_COLOURS:
        raise SchemaError(
            f"There is no preset class {name!r}.",
            expected=f"one of {', '.join(OSM_PRESETS)}",
            remedy="Name one of these, or write the class with its own OSM rules into a file of classes.",
        )
    return ClassDef(name, PRESET_COLOURS[name], OSM_PRESETS.get(name, ()), PRESET_WIDTHS_M.get(name, ROAD_WIDTH_M))


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
