"""An architecture: what is known of a network or refiner before it is built. Importing it loads no torch.

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

Kind = Literal["coarse", "refiner"]
"""Image -> scores, or image + scores -> scores."""
ScalingKind = Literal["measured", "paper"]
"""Mean and standard deviation of the training data, or the papers' (x - 127) / 256."""


class ArchitectureOptions(BaseModel):
    """What a person may choose of an architecture: keys of the project file, and arguments of its builder.

    Subclasses give each field a default and a description of what it takes.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Preset:
    """A way to train an architecture.

    Attributes:
        settings: The training; None for learners that do not train in steps.
        scaling: How images are scaled.
    """

    settings: TrainingSettings | None = None
    scaling: ScalingKind = "measured"


@dataclass(frozen=True)
class Architecture:
    """A coarse network or refiner by name.

    Attributes:
        name: What project files, model cards and tables call it.
        kind: "coarse" or "refiner".
        summary: One line for help and guide, a noun phrase without a full stop.
        builder: Returns the module for ``bands``, ``classes`` and the options; or ``"module:function"``, imported when
            first built.
        options: What a person may choose.
        learner: How its numbers are found: a name of ``crispmap.training.learners``; None where they are imported.
        presets: Ways to train it by name; the first is the default.
        patch_multiple: Sides of training patches are multiples of it: the network's stride.
        tile_px: Side of the tiles it runs fastest on, on a CPU.
        default: Whether a project that names none gets this one; true of one of each kind.
        baseline: Whether a comparison shows it beside the project's own by default.
        variants: Further rows of a comparison by suffix, each with the options that make it.
    """

    name: str
    kind: Kind
    summary: str
    builder: str | Callable[..., CoarseNetwork | Refiner]
    options: type[ArchitectureOptions] = ArchitectureOptions
    learner: str | None = "gradient"
    presets: Mapping[str, Preset] = field(default_factory=dict)
    patch_multiple: int = 1
    tile_px: int = 512
    default: bool = False
    baseline: bool = False
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def build(self, **arguments: Any) -> CoarseNetwork | Refiner:
        """Return the module, its weights drawn at random.

        Args:
            arguments: ``bands``, ``classes`` and any of the options.

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
