"""Towns of other places: light, roofs, ground and streets as they may be anywhere, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crispmap.synth.chance import Dice
from crispmap.synth.materials import MATERIALS, Material
from crispmap.synth.relief import Sun
from crispmap.types import DoubleArray

_ROOFS = ("tile", "slate", "fibre", "rust", "metal", "membrane", "roof", "bitumen")
_STREETS = ("asphalt", "concrete", "paving", "pavement", "gravel", "earth", "soil")
_PLANTS = (
    "lawn", "garden", "rough", "pitch", "pasture", "fallow", "wheat", "stubble", "maize", "vines", "hedge", "broad",
    "dark", "fruit", "bush", "conifer", "poplar",
)  # fmt: skip


@dataclass(frozen=True)
class TownStyle:
    """The looks of one town."""

    materials: dict[str, Material]
    sun: Sun


def draw_style(seed: int) -> TownStyle:
    """Return the style of a seed: the same seed gives the same style.

    Roofs, streets, bare ground and plants each have a palette of their own, in which every material varies: roofs of
    one quarter look alike, as do streets. What reflects what is left free otherwise, so that a network which learns on
    many styles cannot learn a colour. Half of the styles stay near the usual colours.
    """
    dice = Dice.of(seed, 7)
    free = 1.0 if dice.chance(0.5) else 0.35
    palettes = {kind: _colour(dice) for kind in ("roof", "street", "plant", "")}
    second = _colour(dice)
    made = {}
    for name, material in MATERIALS.items():
        kind = _kind(name)
        towards = second if kind == "roof" and dice.chance(0.35) else palettes[kind]
        own = np.clip(towards * dice.normal(1.0, 0.13, 4) * dice.between(0.75, 1.25), 12, 248)
        share = free * dice.between(0.3, 1.0)
        mixed = (1 - share) * np.array(material.colour) + share * own
        grain = dice.between(0.5, 2.2)
        made[name] = replace(
            material, colour=_four(mixed), vary=material.vary * dice.between(0.6, 2.0),
            grain=_four(grain * np.array(material.grain)), dry=material.dry * dice.between(0.3, 1.8),
        )  # fmt: skip
    return TownStyle(made, Sun(dice.between(0.0, 360.0), dice.between(28.0, 72.0)))


def _four(values: DoubleArray) -> tuple[float, float, float, float]:
    first, second, third, fourth = values.tolist()
    return first, second, third, fourth


def _kind(name: str) -> str:
    for kind, beginnings in (("roof", _ROOFS), ("street", _STREETS), ("plant", _PLANTS)):
        if name.startswith(beginnings):
            return kind
    return ""


def _colour(dice: Dice) -> DoubleArray:
    """Return red, green, blue and near infrared: grey of any brightness, tinted a little or a lot."""
    level = dice.between(45.0, 215.0)
    tint: DoubleArray = np.exp(dice.normal(0.0, dice.pick((0.04, 0.12, 0.3)), 4))
    return np.clip(level * tint, 15, 245)
