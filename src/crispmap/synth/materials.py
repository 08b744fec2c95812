"""What things look like: red, green, blue and near infrared of every material in full sun, and how it varies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Material:
    """The look of a material.

    Attributes:
        colour: Red, green, blue, near infrared in full sun on flat ground, 0..255.
        vary: Standard deviation of brightness between one piece and another.
        grain: Contrast of texture at 0.5 m, 2 m, 7 m and 30 m.
        dry: How far vegetation turns from green to straw, with texture at 7 m and 30 m.
        row_m: Distance of rows, furrows or seams; 0 without.
        row_depth: Contrast of the rows.
    """

    colour: tuple[float, float, float, float]
    vary: float = 0.06
    grain: tuple[float, float, float, float] = (0.03, 0.03, 0.03, 0.03)
    dry: float = 0.0
    row_m: float = 0.0
    row_depth: float = 0.0


_GRASS = (0.05, 0.06, 0.06, 0.05)
_EARTH = (0.05, 0.05, 0.05, 0.06)
_HARD = (0.03, 0.035, 0.04, 0.03)
_TILE = (0.05, 0.05, 0.04, 0.0)
_PLAIN = (0.02, 0.02, 0.02, 0.02)
_CAR = (0.0, 0.0, 0.0, 0.0)

MATERIALS: dict[str, Material] = {
    # grass and gardens
    "lawn": Material((96, 118, 72, 186), 0.08, _GRASS, 0.5, 2.4, 0.03),
    "lawn_dry": Material((138, 136, 94, 168), 0.08, _GRASS, 0.6),
    "garden": Material((84, 102, 64, 174), 0.1, (0.09, 0.12, 0.1, 0.04), 0.5),
    "meadow": Material((110, 120, 78, 178), 0.1, (0.06, 0.07, 0.06, 0.05), 0.45),
    "rough": Material((106, 112, 74, 162), 0.1, (0.08, 0.1, 0.08, 0.05), 0.5),
    "verge": Material((112, 114, 78, 158), 0.08, _GRASS, 0.6),
    "pitch": Material((98, 130, 70, 192), 0.04, (0.03, 0.03, 0.03, 0.03), 0.4, 11.0, 0.05),
    "forest_floor": Material((64, 74, 50, 120), 0.05, _GRASS, 0.3),
    "bed": Material((112, 98, 74, 152), 0.12, (0.06, 0.1, 0.06, 0.0), 0.8, 1.3, 0.2),
    # fields
    "pasture": Material((104, 124, 76, 192), 0.1, (0.05, 0.06, 0.05, 0.05), 0.35),
    "fallow": Material((134, 126, 92, 168), 0.1, (0.07, 0.09, 0.07, 0.05), 0.4),
    "wheat": Material((184, 164, 112, 186), 0.07, (0.03, 0.03, 0.04, 0.06), 0.2, 2.2, 0.025),
    "wheat_track": Material((158, 140, 98, 166), 0.03, _EARTH),
    "stubble": Material((190, 174, 132, 196), 0.07, (0.04, 0.04, 0.05, 0.06), 0.15, 3.4, 0.06),
    "stubble_track": Material((172, 154, 116, 176), 0.03, _EARTH),
    "maize": Material((72, 104, 56, 204), 0.08, (0.05, 0.05, 0.06, 0.06), 0.35, 1.6, 0.1),
    "maize_track": Material((78, 96, 58, 170), 0.03, _EARTH),
    "soil": Material((148, 122, 96, 162), 0.1, (0.03, 0.04, 0.05, 0.09), 0.0, 2.0, 0.05),
    "soil_track": Material((136, 112, 88, 148), 0.03, _EARTH),
    "soil_red": Material((172, 120, 90, 182), 0.08, (0.04, 0.05, 0.06, 0.08), 0.0, 2.3, 0.05),
    "vines": Material((122, 122, 82, 164), 0.05, _GRASS, 0.3, 2.4, 0.26),
    # bare and paved ground
    "earth": Material((166, 138, 108, 180), 0.1, (0.06, 0.07, 0.08, 0.05), 0.2),
    "sand": Material((206, 190, 156, 214), 0.06, _EARTH),
    "gravel": Material((176, 168, 152, 184), 0.1, (0.06, 0.05, 0.05, 0.04)),
    "concrete": Material((194, 190, 180, 188), 0.09, (0.03, 0.05, 0.06, 0.04), 0.0, 5.0, 0.02),
    "paving": Material((166, 158, 148, 164), 0.09, (0.05, 0.04, 0.04, 0.02)),
    "setts": Material((138, 136, 132, 138), 0.07, (0.06, 0.04, 0.03, 0.02)),
    "asphalt_yard": Material((120, 119, 117, 120), 0.12, (0.03, 0.05, 0.06, 0.05)),
    "clay": Material((186, 110, 78, 184), 0.05, _PLAIN),
    "pool": Material((112, 196, 206, 38), 0.07, (0.02, 0.03, 0.0, 0.0)),
    # streets
    "asphalt_dark": Material((88, 89, 92, 88), 0.06, _HARD),
    "asphalt": Material((113, 113, 114, 114), 0.06, _HARD),
    "asphalt_worn": Material((138, 136, 132, 140), 0.06, _HARD),
    "asphalt_pale": Material((160, 157, 150, 164), 0.05, _HARD),
    "pavement": Material((158, 154, 148, 162), 0.07, _HARD, 0.0, 3.0, 0.02),
    "pavement_warm": Material((174, 158, 146, 168), 0.06, _HARD),
    "paint": Material((222, 222, 218, 214), 0.05, _PLAIN),
    "paint_worn": Material((176, 176, 172, 170), 0.05, (0.08, 0.1, 0.05, 0.0)),
    "water": Material((62, 80, 74, 22), 0.02, (0.015, 0.02, 0.03, 0.05)),
    # roofs
    "tile_orange": Material((192, 122, 92, 186), 0.09, _TILE),
    "tile_red": Material((166, 100, 80, 166), 0.09, _TILE),
    "tile_pale": Material((190, 146, 120, 196), 0.08, (0.07, 0.07, 0.05, 0.0)),
    "tile_old": Material((152, 108, 88, 162), 0.1, (0.07, 0.08, 0.06, 0.0)),
    "tile_brown": Material((118, 92, 80, 130), 0.1, _TILE),
    "tile_grey": Material((122, 119, 117, 124), 0.1, _TILE),
    "slate": Material((94, 98, 107, 104), 0.1, _TILE),
    "fibre": Material((160, 157, 152, 162), 0.1, (0.05, 0.07, 0.07, 0.0)),
    "zinc": Material((166, 170, 174, 170), 0.08, _PLAIN, 0.0, 1.6, 0.03),
    "rust": Material((140, 104, 84, 152), 0.1, (0.05, 0.08, 0.08, 0.0), 0.0, 2.0, 0.04),
    "metal_white": Material((224, 224, 220, 214), 0.05, _PLAIN, 0.0, 4.0, 0.03),
    "metal_grey": Material((176, 179, 182, 178), 0.07, _PLAIN, 0.0, 3.0, 0.04),
    "metal_blue": Material((128, 146, 164, 150), 0.08, _PLAIN, 0.0, 3.0, 0.05),
    "membrane": Material((214, 212, 206, 206), 0.07, (0.02, 0.03, 0.05, 0.03)),
    "roof_gravel": Material((158, 152, 143, 164), 0.1, (0.06, 0.04, 0.06, 0.03)),
    "roof_grey": Material((138, 137, 135, 140), 0.12, (0.03, 0.05, 0.07, 0.03), 0.0, 3.0, 0.03),
    "roof_green": Material((112, 118, 86, 152), 0.08, _GRASS, 0.6),
    "roof_wood": Material((124, 110, 94, 140), 0.1, _PLAIN, 0.0, 1.4, 0.06),
    "bitumen": Material((86, 86, 88, 88), 0.12, _HARD),
    "chimney": Material((138, 112, 98, 142), 0.15, _CAR),
    "glass": Material((70, 80, 92, 60), 0.15, _CAR),
    "skylight": Material((196, 204, 206, 190), 0.05, _PLAIN),
    "panel": Material((48, 56, 82, 52), 0.06, _PLAIN),
    # what stands about
    "hedge": Material((66, 86, 48, 176), 0.12, (0.08, 0.08, 0.04, 0.0), 0.3),
    "wall": Material((176, 168, 154, 172), 0.1, _PLAIN),
    "container_blue": Material((74, 102, 146, 108), 0.08, _CAR),
    "container_red": Material((152, 74, 60, 128), 0.08, _CAR),
    "container_green": Material((80, 118, 88, 116), 0.08, _CAR),
    "white": Material((226, 226, 224, 214), 0.04, _CAR),
    "silver": Material((176, 179, 182, 172), 0.06, _CAR),
    "grey": Material((110, 112, 115, 108), 0.1, _CAR),
    "black": Material((46, 47, 50, 46), 0.1, _CAR),
    "blue": Material((72, 98, 150, 110), 0.1, _CAR),
    "dark_blue": Material((52, 60, 86, 66), 0.1, _CAR),
    "red": Material((166, 56, 50, 140), 0.1, _CAR),
    "window": Material((88, 92, 98, 80), 0.1, _CAR),
    # crowns
    "broad": Material((78, 100, 54, 196), 0.13, (0.08, 0.05, 0.0, 0.0), 0.3),
    "dark": Material((58, 80, 46, 178), 0.1, (0.08, 0.05, 0.0, 0.0), 0.2),
    "fruit": Material((96, 114, 68, 188), 0.12, (0.08, 0.05, 0.0, 0.0), 0.3),
    "bush": Material((86, 102, 60, 180), 0.16, (0.08, 0.05, 0.0, 0.0), 0.4),
    "conifer": Material((50, 70, 48, 150), 0.1, (0.06, 0.03, 0.0, 0.0), 0.1),
    "poplar": Material((86, 108, 62, 192), 0.1, (0.08, 0.05, 0.0, 0.0), 0.2),
}
"""Every material by name. Asphalt is also the colour of grey roofs, bare soil that of tiles: as in life."""
