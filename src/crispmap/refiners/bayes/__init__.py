"""The empirical-Bayes smoothing of score maps; its few numbers are fitted on the refiner's area."""

from crispmap.models.architecture import Architecture, Preset

ARCHITECTURES = (
    Architecture(
        name="bayes",
        kind="refiner",
        summary="the empirical-Bayes smoothing of Camara et al., as in INPE's sits",
        builder="crispmap.refiners.bayes.refiner:BayesRefiner",
        learner="grid-fit",
        presets={"fast": Preset()},
        tile_px=256,
    ),
)
