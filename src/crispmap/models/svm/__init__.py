"""The SVM baseline: support vector machines on single pixels."""

from crispmap.models.architecture import Architecture, Preset

_PRESETS = {"fast": Preset(), "paper": Preset(scaling="paper")}

ARCHITECTURES = (
    Architecture(
        name="svm",
        kind="coarse",
        summary="a support vector machine on the bands of single pixels, the baseline of the IGARSS 2016 paper",
        builder="crispmap.models.svm.network:svm",
        learner="svm",
        presets=_PRESETS,
        baseline=True,
    ),
    Architecture(
        name="svm-texture",
        kind="coarse",
        summary="the same, with the mean and standard deviation of each band in 5x5 pixels as further features",
        builder="crispmap.models.svm.network:svm_texture",
        learner="svm",
        presets=_PRESETS,
    ),
)
