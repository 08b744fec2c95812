"""Mnih's patch network, the fully convolutional networks' forerunner."""

from pydantic import Field

from crispmap.models.architecture import Architecture, ArchitectureOptions
from crispmap.models.presets import fast_preset, paper_preset


class _Options(ArchitectureOptions):
    binary: bool | None = Field(
        None, description="true or false: whether two classes are learned as one map with a sigmoid, as published"
    )


ARCHITECTURES = (
    Architecture(
        name="mnih",
        kind="coarse",
        summary="Mnih's patch network, which labels the 16x16 centre of 64x64 patches, for comparison",
        builder="crispmap.models.patch_network.network:PatchNetwork",
        options=_Options,
        patch_multiple=16,
        presets={"fast": fast_preset(), "paper": paper_preset(1e-4, 16)},
        baseline=True,
    ),
)
