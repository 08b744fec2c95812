"""Single buildings and cars: bodies with roofs, chimneys, vents, windows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from crispmap.synth.chance import Dice
from crispmap.synth.features import Frame, Wing

TILED = ("tile_orange", "tile_orange", "tile_red", "tile_red", "tile_old", "tile_pale", "tile_brown")
SLATED = ("slate", "slate", "tile_grey", "tile_grey", "tile_brown", "tile_old")
MODERN = ("tile_grey", "slate", "tile_brown", "tile_orange", "fibre")
FLATS = ("roof_gravel", "roof_gravel", "bitumen", "membrane", "roof_grey", "roof_grey", "roof_green")


@dataclass(frozen=True)
class Style:
    """The common properties of buildings of one kind."""

    kind: str  # OpenStreetMap value
    front_m: tuple[float, float]  # range of the side along the street; of a house that stands free, of its plot's
    depth_m: tuple[float, float]  # range of the side away from it
    eave_m: tuple[float, float]  # range of the height of the eaves
    roofs: tuple[str, ...] = TILED  # materials of pitched roofs to draw from
    flats: tuple[str, ...] = FLATS  # materials of flat roofs to draw from
    slope: float = 0.45  # rise over run of pitched roofs
    flat: float = 0.0  # share of flat roofs
    hipped: float = 0.0  # share of hipped roofs among the pitched
    wing: float = 0.0  # share with a wing that stands out behind

    def in_quarter(self, dice: Dice) -> Style:
        """Return the style of one quarter: mostly tiled, some slated, some modern."""
        roofs, flat = dice.pick(((TILED, 0.03), (TILED, 0.03), (TILED, 0.06), (SLATED, 0.05), (MODERN, 0.22)))
        return replace(self, roofs=roofs, flat=flat, slope=dice.between(0.42, 0.85), hipped=dice.pick((0.1, 0.35, 0.7)))

    def draw_wings(self, front_m: float, frame: Frame, dice: Dice) -> tuple[Wing, ...]:
        """Return a building with the middle of its front at the frame's origin: a body, perhaps with a wing behind."""
        deep, eave = dice.between(*self.depth_m), dice.between(*self.eave_m)
        body = self._under_roof(frame.moved(0, deep / 2), (front_m, deep), eave, dice)
        if not dice.chance(self.wing):
            return (body,)
        broad, out = front_m * dice.between(0.35, 0.58), deep * dice.between(0.22, 0.55)
        size = broad, deep / 2 + out
        middle = frame.moved(dice.pick((-1, 1)) * ((front_m - broad) / 2 - 0.05), deep / 2 + size[1] / 2)
        turned = middle if size[0] >= size[1] else middle.moved(0, 0, math.pi / 2)
        wing = self._under_roof(turned, (max(size), min(size)), eave * dice.pick((0.5, 0.9)), dice)
        return body, replace(wing, material=body.material) if wing.roof != "flat" and dice.chance(0.6) else wing

    def _under_roof(self, frame: Frame, size_m: tuple[float, float], eave_m: float, dice: Dice) -> Wing:
        """Return a body of a length and width under a roof of this style."""
        if dice.chance(self.flat):
            return Wing(frame, *size_m, eave_m, 0.0, "flat", dice.pick(self.flats))
        roof = "hip" if dice.chance(self.hipped) else "gable"
        return Wing(frame, *size_m, eave_m, self.slope * size_m[1] / 2, roof, dice.pick(self.roofs))


_ON_FLAT = (("membrane", 1 / 140, 2.2, 0.8), ("roof_grey", 1 / 140, 2.2, 0.8), ("glass", 1 / 200, 3.0, 0.0))
_ON_SLOPE = (("tile_old", 1 / 90, 0.9, 1.6), ("glass", 1 / 90, 1.1, 0.0), ("panel", 1 / 1000, 5.0, 0.0))
"""Details on roofs: material, number per square metre, longest side, height (0 for windows and panels)."""


def draw_details(wing: Wing, dice: Dice) -> tuple[Wing, ...]:
    """Return the details on a roof: vents and skylights if flat, chimneys, windows and panels if pitched."""
    made = []
    for material, density, side_m, height_m in _ON_FLAT if wing.roof == "flat" else _ON_SLOPE:
        for _ in range(min(6, dice.poisson(density * wing.length_m * wing.width_m))):
            spot = wing.frame.moved(dice.between(-0.4, 0.4) * wing.length_m, dice.pick((-0.25, 0.25)) * wing.width_m)
            long, wide = side_m * dice.between(0.6, 1.0), side_m * dice.between(0.4, 0.6)
            top = wing.eave_m + wing.rise_m / 2 + height_m
            made.append(Wing(spot, long, wide, top, 0.0, "flat" if height_m else "decal", material))
    return tuple(made)


PAINTS = ("metal_white", "metal_white", "metal_grey", "metal_grey", "bitumen", "black", "panel", "blue", "red")


def draw_car(frame: Frame, dice: Dice) -> tuple[Wing, ...]:
    """Return a car along ``u``: its body, windows and roof."""
    body = Wing(frame, dice.between(3.8, 4.9), dice.between(1.7, 2.0), 1.15, 0.0, "flat", dice.pick(PAINTS))
    glass = replace(body, frame=frame.moved(-0.25, 0), length_m=2.2, width_m=1.6, roof="decal", material="glass")
    return body, glass, replace(body, frame=frame.moved(-0.3, 0), length_m=1.4, width_m=1.6, eave_m=1.45)
