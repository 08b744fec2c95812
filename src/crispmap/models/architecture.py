"""Architectures: the description of a network or refiner before it is built, without torch.

Every family declares its architectures in the ``__init__`` of its folder, beside the code that needs torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from crispmap.models.settings import TrainingSettings

if TYPE_CHECKING:
    from crispmap.models.base import CoarseNetwork, Refiner

Kind = Literal["coarse", "refiner"]  # image -> scores, or image + scores -> scores
ScalingKind = Literal["measured", "paper"]
"""Mean and standard deviation of the training data, or the papers' (x - 127) / 256."""


class ArchitectureOptions(BaseModel):
    """The options of an architecture: keys of the project file, and arguments of its builder.

    Subclasses give each field a default and a description of what it takes.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Preset:
    """A way to train an architecture."""

    settings: TrainingSettings | None = None  # the training; None for learners that do not train in steps
    scaling: ScalingKind = "measured"  # how images are scaled
    # the training by which it goes on with precise labels; None: a comparison or a project must ask for it
    finetuning: TrainingSettings | None = None


@dataclass(frozen=True)
class Architecture:
    """A coarse network or refiner by name."""

    name: str  # what project files, model cards and tables call it
    kind: Kind  # "coarse" or "refiner"
    summary: str  # one line for help and guide, a noun phrase without a full stop
    # returns the module for ``bands``, ``classes`` and the options; or ``"module:function"``, imported when first built
    builder: str | Callable[..., CoarseNetwork | Refiner]
    options: type[ArchitectureOptions] = ArchitectureOptions  # what a person may choose
    # how its numbers are found: a name of ``crispmap.training.learners``; None where they are imported
    learner: str | None = "gradient"
    presets: Mapping[str, Preset] = field(default_factory=dict)  # ways to train it by name; the first is the default
    patch_multiple: int = 1  # sides of training patches are multiples of it: the network's stride
    made_for_gsd_m: float | None = None  # the pixel size its layers were made for; None: works at any
    encoder: bool = False  # whether it has an encoder, which may start from trained weights and learn at its own rate
    tile_px: int = 512  # side of the tiles it runs fastest on, on a CPU
    default: bool = False  # whether a project that names none gets this one; true of one of each kind
    # whether its graph is the same whatever the shape of its input, in whole strides, as a test holds
    any_shape: bool = False
    baseline: bool = False  # whether a comparison shows it beside the project's own by default
    # further rows of a comparison by suffix, each with the options that make it
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def build(self, **arguments: Any) -> CoarseNetwork | Refiner:
        """Return the module for ``bands``, ``classes`` and any of the options, with random weights.

        Raises:
            TypeError: If there is no such argument.
            ValueError: If an argument is out of its range.
        """
        builder = self.builder
        if isinstance(builder, str):
            module, _, function = builder.partition(":")
            builder = getattr(importlib.import_module(module), function)
        built: CoarseNetwork | Refiner = builder(**arguments)
        return built
