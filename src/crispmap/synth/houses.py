"""How single buildings are put together: bodies with roofs, chimneys, vents, windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.random import Generator

from crispmap.synth.features import Frame, Wing

TILED = ("tile_orange", "tile_orange", "tile_red", "tile_red", "tile_old", "tile_pale", "tile_brown")
SLATED = ("slate", "slate", "tile_grey", "tile_grey", "tile_brown", "tile_old")
MODERN = ("tile_grey", "slate", "tile_brown", "tile_orange", "fibre")
FLATS = ("roof_gravel", "roof_gravel", "bitumen", "membrane", "roof_grey", "roof_grey", "roof_green")
SHEDS = ("fibre", "rust", "bitumen", "tile_old", "zinc", "tile_grey", "roof_wood")


@dataclass(frozen=True)
class Style:
    """What the houses of one quarter have in common.

    Attributes:
        roofs: Roof materials to draw from.
        slope: Rise over run of pitched roofs.
        hipped: Share of hipped roofs.
        flat: Share of flat roofs.
        storey_m: Range of the height of the eaves.
        setback_m: Distance between the plot's front and the houses.
    """

    roofs: tuple[str, ...]
    slope: float
    hipped: float
    flat: float
    storey_m: tuple[float, float]
    setback_m: float


def draw_style(rng: Generator, storey_m: tuple[float, float] = (3.0, 5.8)) -> Style:
    """Return the style of a quarter: mostly tiled, some slated, some modern."""
    roofs, flat = [(TILED, 0.03), (TILED, 0.06), (SLATED, 0.05), (MODERN, 0.22)][
        int(rng.choice(4, p=[0.4, 0.2, 0.2, 0.2]))
    ]
    return Style(
        roofs,
        float(rng.uniform(0.42, 0.85)),
        float(rng.choice([0.1, 0.35, 0.7])),
        flat,
        storey_m,
        float(rng.uniform(2.0, 7.0)),
    )


def body(frame: Frame, u: tuple[float, float], v: tuple[float, float], roof: str, material: str, eave_m: float) -> Wing:
    """Return a flat-roofed wing between two values of ``u`` and of ``v``, its long side along its own ``u``."""
    centre = (u[0] + u[1]) / 2, (v[0] + v[1]) / 2
    length, width = u[1] - u[0], v[1] - v[0]
    turn = 0.0 if length >= width else math.pi / 2
    return Wing(frame.moved(*centre, turn), max(length, width), min(length, width), eave_m, 0.0, roof, material)


def pitched(wing: Wing, slope: float) -> Wing:
    """Return the wing with a roof that rises to its ridge with this slope."""
    if wing.roof == "flat":
        return wing
    run = wing.width_m if wing.roof == "shed" else wing.width_m / 2
    rise = (0.35 if wing.roof == "shed" else 1.0) * slope * run
    return Wing(wing.frame, wing.length_m, wing.width_m, wing.eave_m, rise, wing.roof, wing.material)


def draw_roof(style: Style, rng: Generator) -> tuple[str, str]:
    """Return a roof form and a material of a style."""
    if rng.random() < style.flat:
        return "flat", str(rng.choice(FLATS))
    return ("hip" if rng.random() < style.hipped else "gable"), str(rng.choice(style.roofs))


def detached_wings(frame: Frame, size_m: tuple[float, float], style: Style, rng: Generator) -> tuple[Wing, ...]:
    """Return a house whose front's middle is the frame's origin: a body, perhaps a cross wing, perhaps a garage."""
    wide, deep = size_m
    roof, material = draw_roof(style, rng)
    eave = float(rng.uniform(*style.storey_m))
    main = body(frame, (-wide / 2, wide / 2), (0, deep), roof, material, eave)
    wings = [pitched(main, style.slope)]
    side = 1.0 if rng.random() < 0.5 else -1.0
    if rng.random() < 0.42:
        wings.append(_cross_wing(frame, size_m, style, (roof, material, eave), side, rng))
    if rng.random() < 0.4:
        start = side * wide / 2
        span = sorted((start, start + side * rng.uniform(3.0, 4.2)))
        back = float(rng.uniform(0.5, max(0.6, deep - 6)))
        form, top = ("flat", str(rng.choice(FLATS))) if rng.random() < 0.45 else ("gable", material)
        garage = body(frame, (span[0], span[1]), (back, back + float(rng.uniform(5.2, 6.5))), form, top, 2.6)
        wings.append(pitched(garage, style.slope))
    return tuple(wings)


def _cross_wing(
    frame: Frame, size_m: tuple[float, float], style: Style, top: tuple[str, str, float], side: float, rng: Generator
) -> Wing:
    """Return a wing that stands out to the back or front, making an L or a T."""
    wide, deep = size_m
    roof, material, eave = top
    breadth = float(rng.uniform(0.36, 0.5)) * wide
    middle = 0.0 if rng.random() < 0.25 else -side * (wide - breadth) / 2
    out = float(rng.uniform(2.2, 4.8))
    v = (-min(out, 1.8), deep / 2) if rng.random() < 0.3 else (deep / 2, deep + out)
    low = eave - (0.6 if rng.random() < 0.4 else 0.0)
    wing = body(frame, (middle - breadth / 2, middle + breadth / 2), v, roof, material, low)
    return pitched(wing, style.slope)


def chimneys(wing: Wing, count: int, rng: Generator) -> tuple[Wing, ...]:
    """Return chimneys near the ridge of a wing."""
    made = []
    for _ in range(count):
        u = float(rng.uniform(-0.42, 0.42)) * wing.length_m
        v = float(rng.uniform(-0.18, 0.18)) * wing.width_m
        made.append(Wing(wing.frame.moved(u, v), 0.9, 0.6, wing.height_m + 0.5, 0.0, "flat", "chimney"))
    return tuple(made)


def roof_furniture(wing: Wing, rng: Generator) -> tuple[Wing, ...]:
    """Return what stands on a roof: vents and lights on flat ones, chimneys, windows and panels on pitched ones."""
    if wing.roof == "flat":
        count = int(min(14, rng.poisson(wing.length_m * wing.width_m / 70)))
        return tuple(_vent(wing, rng) for _ in range(count))
    made = list(chimneys(wing, int(rng.choice([0, 1, 1, 2])), rng))
    for _ in range(int(rng.choice([0, 0, 1, 2, 3]))):
        made.append(_on_slope(wing, (0.8, 1.1), "glass", rng))
    if rng.random() < 0.09:
        made.append(_on_slope(wing, (float(rng.uniform(3, 6)), float(rng.uniform(1.8, 3))), "panel", rng))
    return tuple(made)


def _vent(wing: Wing, rng: Generator) -> Wing:
    """Return a vent, hatch or skylight on a flat roof."""
    u, v = rng.uniform(-0.42, 0.42, 2) * (wing.length_m, wing.width_m)
    size = rng.uniform(0.8, 2.2, 2)
    material = str(rng.choice(["membrane", "roof_grey", "metal_grey", "glass"]))
    return Wing(wing.frame.moved(u, v), max(size), min(size), wing.eave_m + 0.8, 0.0, "flat", material)


def _on_slope(wing: Wing, size_m: tuple[float, float], material: str, rng: Generator) -> Wing:
    """Return something painted on one slope of a roof."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    u = float(rng.uniform(-0.3, 0.3)) * wing.length_m
    return Wing(wing.frame.moved(u, side * 0.25 * wing.width_m), *size_m, 0.0, 0.0, "decal", material)
