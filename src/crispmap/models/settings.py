"""The settings of a training: optimiser, schedule, loss, patches and length. Importing it loads no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

from crispmap.errors import TrainingError, did_you_mean

Sampling = Literal["uniform", "balanced"]
Weighting = Literal["none", "inverse", "inverse-sqrt"]
Optimizer = Literal["sgd", "adagrad", "adamw"]
Schedule = Literal["constant", "one-cycle", "cosine"]
Precision = Literal["auto", "float32", "bfloat16"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "sampling": get_args(Sampling),
    "class_weights": get_args(Weighting),
}
LOSS_NAMES = ("cross-entropy", "overlap", "dice", "focal", "lovasz", "boundary")
"""Losses that may be summed, such as ``cross-entropy+0.5*dice``; see ``crispmap.training.losses``."""
FLIPS_AND_ROTATIONS = "flips-and-rotations"
AUGMENTATIONS = (FLIPS_AND_ROTATIONS, "scale", "elastic", "colour", "brightness", "blur", "noise")
"""Ways in which patches may be varied, joined by +; see ``crispmap.data.augmentation``."""
_WHOLE = ("max_steps", "batch", "patch_px", "validate_every", "validate_tile_px", "log_every")
_NOT_NEGATIVE = ("momentum", "weight_decay", "gradient_clip")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a coarse network or a refiner is trained.

    Raises:
        TrainingError: If a value is out of its range.
    """

    optimizer: Optimizer  # "sgd", "adagrad" or "adamw"
    learning_rate: float  # of every step, or the highest one of a schedule
    max_steps: int  # optimiser steps in all, and the length of a schedule
    batch: int  # patches a step, over all devices together
    patch_px: int  # side of a patch's labelled square; the context around it comes on top
    stop_after: int | None = None  # ends the training early, within the schedule; None: after all
    encoder_rate: float = 1.0  # learning rate of a network's encoder, as a share of that of the rest
    frozen_steps: int = 0  # steps at the beginning in which the encoder does not learn
    momentum: float = 0.9  # of SGD only
    weight_decay: float = 0.0  # L2 penalty of SGD and AdaGrad, decoupled decay of AdamW
    # "constant"; "one-cycle" (Smith 2018: up for 30 % of the steps, then down to almost 0); "cosine" (down to 0)
    schedule: Schedule = "constant"
    loss: str = "cross-entropy"  # names of LOSS_NAMES joined by +, each with a weight before a * where it is not 1
    label_smoothing: float = 0.0  # share, 0..1, of the cross-entropy's target that all classes get alike
    # share, 0..1, of a refiner's loss on the iterations before the last, equally; 0, as in the paper: on the last only
    deep_supervision: float = 0.0
    sampling: Sampling = "uniform"  # "uniform" or "balanced" patches, see ``PatchPlan``
    class_weights: Weighting = "none"  # weights in the loss, see ``class_weights``
    # "none", or names of AUGMENTATIONS joined by +
    augmentation: str = FLIPS_AND_ROTATIONS
    min_labelled: float = 0.05  # least share of labelled pixels in a patch
    validate_every: int = 500  # steps between two validations; each writes a checkpoint
    keep_last: bool = False  # whether to keep the last weights instead of those best on the validation area
    validate_tile_px: int = 256  # side of the tiles in which the validation area is mapped
    log_every: int = 25  # steps between two entries of the loss
    gradient_clip: float = 0.0  # largest norm of the gradient; 0 does not clip
    # "float32"; "bfloat16" for the costly operations (weights stay float32); "auto": see crispmap.training.precision
    precision: Precision = "float32"
    seed: int = 0  # of patches and of layers that are random in training

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
        self._require("encoder_rate", 0 < self.encoder_rate < math.inf, "a finite number above 0, such as 0.1")
        steps = self.frozen_steps
        self._require("frozen_steps", isinstance(steps, int) and steps >= 0, "a whole number of 0 or more")
        for name in _NOT_NEGATIVE:
            self._require(name, 0 <= getattr(self, name) < math.inf, "a finite number of 0 or more")
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, "a share of 0 or more, below 1")
        _ = self.loss_terms, augmentation_names(self.augmentation)
        self._require("deep_supervision", 0 <= self.deep_supervision <= 1, "a share within 0..1")
        self._require("min_labelled", 0 <= self.min_labelled <= 1, "a share within 0..1")
        self._require("seed", 0 <= self.seed < 2**63, "a whole number within 0..2**63-1")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise TrainingError(f"{name} is {getattr(self, name)!r}.", expected=expected)

    @property
    def loss_terms(self) -> dict[str, float]:
        """The weight of each loss in their sum.

        Raises:
            TrainingError: If there is no such loss, or a weight is not above 0.
        """
        return loss_terms(self.loss)

    @property
    def last_step(self) -> int:
        """The last step of the training."""
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


def loss_terms(text: str) -> dict[str, float]:
    """Return the losses that a text sums, with their weights.

    Raises:
        TrainingError: If it names another loss or one twice, or a weight is not above 0.
    """
    terms: dict[str, float] = {}
    for part in text.split("+"):
        weight, _, name = part.rpartition("*")
        name = name.strip()
        try:
            value = float(weight) if weight else 1.0
        except ValueError:
            value = math.nan
        if name not in LOSS_NAMES or name in terms or not 0 < value < math.inf:
            raise TrainingError(
                f"loss is {text!r}.",
                expected=f"{', '.join(LOSS_NAMES)}, each once, joined by +, such as cross-entropy+0.5*dice",
            )
        terms[name] = value
    return terms


def augmentation_names(text: str) -> tuple[str, ...]:
    """Return the ways of varying patches that a text joins by +; empty for "none".

    Raises:
        TrainingError: If it names another way, or one twice.
    """
    names = tuple(part.strip() for part in text.split("+")) if text != "none" else ()
    for index, name in enumerate(names):
        if name not in AUGMENTATIONS or name in names[:index]:
            raise TrainingError(
                f"augmentation is {text!r}.",
                expected=f"none, or {', '.join(AUGMENTATIONS)}, each once, joined by +",
                remedy=did_you_mean(name, (*AUGMENTATIONS, "none")) if name not in AUGMENTATIONS else "",
            )
    return names
