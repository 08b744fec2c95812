"""Networks trained with Caffe, imported layer by layer; they are used as they are."""

from crispmap.models.architecture import Architecture

ARCHITECTURES = (
    Architecture(
        name="caffe",
        kind="coarse",
        summary="a network imported from Caffe",
        builder="crispmap.models.caffe.network:CaffeNetwork",
        learner=None,
    ),
)
