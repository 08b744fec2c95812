"""Refiners as partial differential equations; the few parameters of each are fitted on the refiner's area."""

from crispmap.models.architecture import Architecture, Preset

_EQUATIONS = {
    "heat": "heat flow: smooths the scores regardless of the image",
    "edge-stopped": "diffusion that stops at edges of the image, after Perona and Malik",
    "anisotropic": "diffusion along the edges of the image, after Weickert",
    "geodesic": "geodesic active contours, after Caselles, Kimmel and Sapiro",
}

ARCHITECTURES = tuple(
    Architecture(
        name=name,
        kind="refiner",
        summary=summary,
        builder=f"crispmap.refiners.pde.refiner:{name.title().replace('-', '')}Refiner",
        learner="grid-fit",
        presets={"fast": Preset()},
        tile_px=256,
    )
    for name, summary in _EQUATIONS.items()
)
