"""Mnih's patch network, the predecessor of the fully convolutional networks."""

from crispmap.models.architecture import Architecture
from crispmap.models.presets import PublishedOptions, fast_preset, paper_preset

ARCHITECTURES = (
    Architecture(
        name="mnih",
        kind="coarse",
        summary="Mnih's patch network, which labels the 16x16 centre of 64x64 patches, for comparison",
        builder="crispmap.models.patch_network.network:PatchNetwork",
        options=PublishedOptions,
        patch_multiple=16,
        presets={"fast": fast_preset(), "paper": paper_preset(1e-4, 16)},
        baseline=True,
    ),
)
