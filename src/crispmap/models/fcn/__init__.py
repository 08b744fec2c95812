"""The fully convolutional networks of the two papers."""

from pydantic import Field

from crispmap.models.architecture import Architecture, ArchitectureOptions
from crispmap.models.presets import PublishedOptions, fast_preset, paper_preset


class _Options(ArchitectureOptions):
    binary: bool = Field(False, description="true or false: whether two classes are learned as one map with a sigmoid")


ARCHITECTURES = (
    Architecture(
        name="fcn-rnn",
        kind="coarse",
        summary="the fully convolutional network of the RNN paper, made for 1 m",
        builder="crispmap.models.fcn.network:fcn_rnn",
        options=_Options,
        patch_multiple=4,
        any_shape=True,
        made_for_gsd_m=1.0,
        presets={"fast": fast_preset(), "paper": paper_preset(1e-2, 64)},
    ),
    Architecture(
        name="fcn-igarss",
        kind="coarse",
        summary="the fully convolutional network of the IGARSS 2016 paper, made for 1 m",
        builder="crispmap.models.fcn.network:fcn_igarss",
        options=PublishedOptions,
        patch_multiple=4,
        any_shape=True,
        made_for_gsd_m=1.0,
        presets={"fast": fast_preset(), "paper": paper_preset(1e-4, 16)},
    ),
)
