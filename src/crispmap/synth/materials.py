"""The looks of materials: red, green, blue and near infrared in full sun, and their variation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Material:
    """The look of a material."""

    colour: tuple[float, float, float, float]  # red, green, blue, near infrared in full sun on flat ground, 0..255
    vary: float  # standard deviation of brightness between one piece and another
    grain: tuple[float, float, float, float]  # contrast of texture at 0.5 m, 2 m, 7 m and 30 m
    dry: float = 0.0  # how far vegetation turns from green to straw, with texture at 7 m and 30 m
    row_m: float = 0.0  # distance of rows, furrows or seams; 0 without
    row_depth: float = 0.0  # contrast of the rows


_GRASS = (0.05, 0.06, 0.06, 0.05)
_ROUGH = (0.08, 0.11, 0.09, 0.05)
_EARTH = (0.05, 0.06, 0.06, 0.06)
_HARD = (0.03, 0.035, 0.04, 0.03)
_STONES = (0.06, 0.05, 0.06, 0.03)
_TILE = (0.06, 0.06, 0.05, 0.0)
_PLAIN = (0.02, 0.02, 0.02, 0.02)
_LEAVES = (0.08, 0.05, 0.0, 0.0)

MATERIALS = {
    # grass, gardens and fields
    "lawn": Material((96, 118, 72, 186), 0.08, _GRASS, 0.5, 2.4, 0.03),
    "lawn_dry": Material((138, 136, 94, 168), 0.08, _GRASS, 0.6),
    "garden": Material((84, 102, 64, 174), 0.1, _ROUGH, 0.5),
    "rough": Material((106, 112, 74, 162), 0.1, _ROUGH, 0.5),
    "pitch": Material((98, 130, 70, 192), 0.04, _HARD, 0.4, 11.0, 0.05),
    "bed": Material((112, 98, 74, 152), 0.12, _ROUGH, 0.8, 1.3, 0.2),
    "pasture": Material((104, 124, 76, 192), 0.1, _GRASS, 0.4),
    "fallow": Material((134, 126, 92, 168), 0.1, _ROUGH, 0.4),
    "wheat": Material((184, 164, 112, 186), 0.07, _HARD, 0.2, 2.2, 0.025),
    "stubble": Material((190, 174, 132, 196), 0.07, _EARTH, 0.15, 3.4, 0.06),
    "maize": Material((72, 104, 56, 204), 0.08, _GRASS, 0.35, 1.6, 0.1),
    "vines": Material((122, 122, 82, 164), 0.05, _GRASS, 0.3, 2.4, 0.26),
    # bare and paved ground
    "soil": Material((148, 122, 96, 162), 0.1, _EARTH, 0.0, 2.0, 0.05),
    "soil_red": Material((172, 120, 90, 182), 0.08, _EARTH, 0.0, 2.3, 0.05),
    "earth": Material((166, 138, 108, 180), 0.1, _ROUGH, 0.2),
    "gravel": Material((176, 168, 152, 184), 0.1, _STONES),
    "concrete": Material((194, 190, 180, 188), 0.09, _HARD, 0.0, 5.0, 0.02),
    "paving": Material((166, 158, 148, 164), 0.09, _HARD),
    "asphalt_dark": Material((88, 89, 92, 88), 0.06, _HARD),
    "asphalt": Material((113, 113, 114, 114), 0.06, _HARD),
    "asphalt_worn": Material((138, 136, 132, 140), 0.06, _HARD),
    "asphalt_pale": Material((160, 157, 150, 164), 0.05, _HARD),
    "pavement": Material((158, 154, 148, 162), 0.07, _HARD, 0.0, 3.0, 0.02),
    "paint": Material((222, 222, 218, 214), 0.05, _PLAIN),
    "water": Material((62, 80, 74, 22), 0.02, _PLAIN),
    "pool": Material((112, 196, 206, 38), 0.07, _PLAIN),
    # roofs and what stands on them
    "tile_orange": Material((192, 122, 92, 186), 0.09, _TILE),
    "tile_red": Material((166, 100, 80, 166), 0.09, _TILE),
    "tile_pale": Material((190, 146, 120, 196), 0.08, _TILE),
    "tile_old": Material((152, 108, 88, 162), 0.1, _TILE),
    "tile_brown": Material((118, 92, 80, 130), 0.1, _TILE),
    "tile_grey": Material((122, 119, 117, 124), 0.1, _TILE),
    "slate": Material((94, 98, 107, 104), 0.1, _TILE),
    "fibre": Material((160, 157, 152, 162), 0.1, _TILE),
    "rust": Material((140, 104, 84, 152), 0.1, _TILE, 0.0, 2.0, 0.04),
    "metal_white": Material((224, 224, 220, 214), 0.05, _PLAIN, 0.0, 4.0, 0.03),
    "metal_grey": Material((176, 179, 182, 178), 0.07, _PLAIN, 0.0, 3.0, 0.04),
    "metal_blue": Material((128, 146, 164, 150), 0.08, _PLAIN, 0.0, 3.0, 0.05),
    "membrane": Material((214, 212, 206, 206), 0.07, _HARD),
    "roof_gravel": Material((158, 152, 143, 164), 0.1, _STONES),
    "roof_grey": Material((138, 137, 135, 140), 0.12, _HARD, 0.0, 3.0, 0.03),
    "roof_green": Material((112, 118, 86, 152), 0.08, _GRASS, 0.6),
    "bitumen": Material((86, 86, 88, 88), 0.12, _HARD),
    "glass": Material((70, 80, 92, 60), 0.15, _PLAIN),
    "panel": Material((48, 56, 82, 52), 0.06, _PLAIN),
    # cars, hedges and crowns
    "black": Material((46, 47, 50, 46), 0.1, _PLAIN),
    "blue": Material((72, 98, 150, 110), 0.1, _PLAIN),
    "red": Material((166, 56, 50, 140), 0.1, _PLAIN),
    "hedge": Material((66, 86, 48, 176), 0.12, _LEAVES, 0.3),
    "broad": Material((78, 100, 54, 196), 0.13, _LEAVES, 0.3),
    "dark": Material((58, 80, 46, 178), 0.1, _LEAVES, 0.2),
    "fruit": Material((96, 114, 68, 188), 0.12, _LEAVES, 0.3),
    "bush": Material((86, 102, 60, 180), 0.16, _LEAVES, 0.4),
    "conifer": Material((50, 70, 48, 150), 0.1, _LEAVES, 0.1),
    "poplar": Material((86, 108, 62, 192), 0.1, _LEAVES, 0.2),
}
"""Every material by name. As in reality, asphalt has the colour of grey roofs, and bare soil that of tiles."""
