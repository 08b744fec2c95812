"""The common option and the trainings of the coarse networks of the two papers."""

from __future__ import annotations

from pydantic import Field

from crispmap.models.architecture import ArchitectureOptions, Preset
from crispmap.models.settings import TrainingSettings


class PublishedOptions(ArchitectureOptions):
    """Options of networks that were published for two classes, as one map with a sigmoid."""

    binary: bool | None = Field(
        None, description="true or false: whether two classes are learned as one map with a sigmoid, as published"
    )


def fast_preset() -> Preset:
    """Return a coarse training of about a minute on two cores: AdamW with a one-cycle rate.

    Patches are sampled and weighted uniformly, as in the papers. It is short on purpose: a longer training fits the
    errors of imprecise labels.
    """
    settings = TrainingSettings(
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=1e-2,
        schedule="one-cycle",
        max_steps=1_000,
        batch=16,
        patch_px=64,
        validate_every=250,
        precision="auto",
    )
    return Preset(settings)


def paper_preset(learning_rate: float, patch_px: int) -> Preset:
    """Return the published training of a coarse network: 64 patches a step, SGD, momentum 0.9, weight decay 2e-4.

    IGARSS 2016 trains for 30,000 steps on patches of 16 pixels; the RNN paper (64 pixels) does not state the number:
    30,000 was chosen. Neither paper flips or rotates patches, or weights classes.
    """
    settings = TrainingSettings(
        optimizer="sgd",
        learning_rate=learning_rate,
        momentum=0.9,
        weight_decay=2e-4,
        max_steps=30_000,
        batch=64,
        patch_px=patch_px,
        augmentation="none",
    )
    return Preset(settings, scaling="paper")
