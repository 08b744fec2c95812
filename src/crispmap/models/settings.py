"""How a training goes: optimiser, schedule, loss, patches and length. Importing it loads no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

from crispmap.errors import TrainingError

Augmentation = Literal["none", "flips-and-rotations"]
Loss = Literal["cross-entropy", "cross-entropy+overlap"]
Sampling = Literal["uniform", "balanced"]
Weighting = Literal["none", "inverse", "inverse-sqrt"]
Optimizer = Literal["sgd", "adagrad", "adamw"]
Schedule = Literal["constant", "one-cycle", "cosine"]
Precision = Literal["float32", "bfloat16"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "loss": get_args(Loss),
    "sampling": get_args(Sampling),
    "augmentation": get_args(Augmentation),
    "class_weights": get_args(Weighting),
}
_WHOLE = ("max_steps", "batch", "patch_px", "validate_every", "validate_tile_px", "log_every")
_NOT_NEGATIVE = ("momentum", "weight_decay", "gradient_clip")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a coarse network or a refiner is trained.

    Attributes:
        optimizer: "sgd", "adagrad" or "adamw".
        learning_rate: Of every step, or the highest one of a schedule.
        momentum: Of SGD; without effect on the others.
        weight_decay: L2 penalty of SGD and AdaGrad, decoupled decay of AdamW.
        schedule: "constant"; "one-cycle" (Smith 2018: up for 30 % of the steps, then down to almost 0);
            "cosine" (down to 0).
        max_steps: Optimiser steps in all, and the length of a schedule.
        stop_after: End after so many of them, in the midst of the schedule; None: after all.
        batch: Patches a step, over all devices together.
        patch_px: Side of a patch's labelled square; the context around it comes on top.
        loss: "cross-entropy", or with "+overlap" plus 1 - the classes' mean soft intersection over union.
        deep_supervision: Share, within 0..1, of a refiner's loss that is taken on the iterations before the last, all
            alike; 0, as in the paper, judges the last one only.
        sampling: "uniform" or "balanced" patches, see ``PatchPlan``.
        class_weights: Weights in the loss, see ``class_weights``.
        augmentation: "flips-and-rotations" shows every patch under one of the 8 symmetries of the square.
        min_labelled: Least share of labelled pixels in a patch.
        validate_every: Steps between two validations; each writes a checkpoint.
        keep_last: Whether the last weights are kept, not those that do best on the validation ground.
        validate_tile_px: Side of the tiles in which validation ground is mapped.
        log_every: Steps between two entries of the loss.
        gradient_clip: Largest norm of the gradient; 0 does not clip.
        precision: "float32", or "bfloat16" for the costly operations (weights stay float32).
        seed: Of patches and of layers that are random in training.

    Raises:
        TrainingError: If a value is out of its range.
    """

    optimizer: Optimizer
    learning_rate: float
    max_steps: int
    batch: int
    patch_px: int
    stop_after: int | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    loss: Loss = "cross-entropy"
    deep_supervision: float = 0.0
    sampling: Sampling = "uniform"
    class_weights: Weighting = "none"
    augmentation: Augmentation = "flips-and-rotations"
    min_labelled: float = 0.05
    validate_every: int = 500
    keep_last: bool = False
    validate_tile_px: int = 256
    log_every: int = 25
    gradient_clip: float = 0.0
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, accepted in _CHOICES.items():
            self._require(name, getattr(self, name) in accepted, " or ".join(repr(a) for a in accepted))
        for name in _WHOLE:
            value = getattr(self, name)
            self._require(name, isinstance(value, int) and value >= 1, "a whole number of 1 or more")
        stop = self.stop_after
        within = f"a whole number within 1..{self.max_steps}, or None"
        self._require("stop_after", stop is None or (isinstance(stop, int) and 1 <= stop <= self.max_steps), within)
        self._require("learning_rate", 0 < self.learning_rate < math.inf, "a finite number above 0, such as 0.001")
        for name in _NOT_NEGATIVE:
            self._require(name, 0 <= getattr(self, name) < math.inf, "a finite number of 0 or more")
        self._require("deep_supervision", 0 <= self.deep_supervision <= 1, "a share within 0..1")
        self._require("min_labelled", 0 <= self.min_labelled <= 1, "a share within 0..1")
        self._require("seed", 0 <= self.seed < 2**63, "a whole number within 0..2**63-1")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise TrainingError(f"{name} is {getattr(self, name)!r}.", expected=expected)

    @property
    def last_step(self) -> int:
        """The number of the step a training ends with."""
        return self.max_steps if self.stop_after is None else self.stop_after

    def but(self, **changes: Any) -> Self:
        """Return the same settings with some values changed.

        Raises:
            TrainingError: If there is no such setting, or a value is out of its range.
        """
        names = [one.name for one in fields(self)]
        for name in changes:
            if name not in names:
                raise TrainingError(f"There is no setting {name!r}.", expected=f"one of {', '.join(names)}")
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)
