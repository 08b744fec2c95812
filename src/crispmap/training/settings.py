"""How a training goes: optimiser, schedule, patches and length, with the presets of the papers.

Where a paper leaves a number unsaid, the preset's docstring says what was chosen.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

from crispmap.data.sampling import Balance, PatchPlan, Weighting
from crispmap.errors import TrainingError

Optimizer = Literal["sgd", "adagrad", "adamw"]
Schedule = Literal["constant", "one-cycle", "cosine"]
Precision = Literal["float32", "bfloat16"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "balance": get_args(Balance),
    "class_weights": get_args(Weighting),
}
_WHOLE = ("training_steps", "batch", "patch_px", "validate_every", "validate_tile_px", "log_every")
_NOT_NEGATIVE = ("momentum", "weight_decay", "gradient_clip")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What coarse networks and refiners have in common.

    Attributes:
        optimizer: "sgd", "adagrad" or "adamw".
        learning_rate: Of every step, or the highest one of a schedule.
        momentum: Of SGD; without effect on the others.
        weight_decay: L2 penalty of SGD and AdaGrad, decoupled decay of AdamW.
        schedule: "constant"; "one-cycle" (Smith 2018: up for 30 % of the steps, then down to almost 0);
            "cosine" (down to 0).
        training_steps: Optimiser steps in all, and the length of a schedule.
        stop_after: End after so many of them, in the midst of the schedule; None: after all.
        batch: Patches a step, over all devices together.
        patch_px: Side of a patch's labelled square; the context around it comes on top.
        balance: "uniform" or "balanced" patches, see ``PatchPlan``.
        class_weights: Weights in the loss, see ``class_weights``.
        symmetries: Whether patches are flipped and turned.
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
    training_steps: int
    batch: int
    patch_px: int
    stop_after: int | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    balance: Balance = "uniform"
    class_weights: Weighting = "none"
    symmetries: bool = True
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
        within = f"a whole number within 1..{self.training_steps}, or None"
        self._require(
            "stop_after", stop is None or (isinstance(stop, int) and 1 <= stop <= self.training_steps), within
        )
        self._require("learning_rate", 0 < self.learning_rate < math.inf, "a finite number above 0, such as 0.001")
        for name in _NOT_NEGATIVE:
            self._require(name, 0 <= getattr(self, name) < math.inf, "a finite number of 0 or more")
        self._require("min_labelled", 0 <= self.min_labelled <= 1, "a share within 0..1")
        self._require("seed", 0 <= self.seed < 2**63, "a whole number within 0..2**63-1")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise TrainingError(f"{name} is {getattr(self, name)!r}.", expected=expected)

    @property
    def last_step(self) -> int:
        """The number of the step a training ends with."""
        return self.training_steps if self.stop_after is None else self.stop_after

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

    def patch_plan(self, margin_px: int, stride_px: int = 1) -> PatchPlan:
        """Return how patches are drawn for a network of this margin and stride."""
        return PatchPlan(
            patch_px=self.patch_px,
            margin_px=margin_px,
            stride_px=stride_px,
            balance=self.balance,
            symmetries=self.symmetries,
            min_labelled=self.min_labelled,
            seed=self.seed,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class CoarseSettings(TrainingSettings):
    """Settings of a coarse network's training."""


@dataclass(frozen=True, kw_only=True)
class RefinerSettings(TrainingSettings):
    """Settings of a refiner's training.

    Attributes:
        deep_supervision: Share, within 0..1, of the loss that is taken on the steps before the last, all
            alike; 0, as in the paper, judges the last step only.
        overlap: Weight, 0 or more, of the overlap loss beside the cross-entropy: 1 - the classes' mean soft
            intersection over union.
    """

    deep_supervision: float = 0.0
    overlap: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("deep_supervision", 0 <= self.deep_supervision <= 1, "a share within 0..1")
        self._require("overlap", 0 <= self.overlap < math.inf, "a finite number of 0 or more")
        self._require("precision", self.precision == "float32", "'float32': bfloat16 loses the small updates of a step")


def paper_coarse(architecture: str) -> CoarseSettings:
    """Return the published training of a coarse network; its image scaling is ``paper_scaling``.

    "fcn-igarss" (IGARSS 2016): 64 patches of 80x80 pixels with 16x16 outputs a step, SGD for 30,000 steps,
    learning rate 1e-4, momentum 0.9, weight decay 2e-4. "mnih", the patch network of the same paper: the same with
    patches of 64x64 pixels. "fcn-rnn" (the RNN paper): 64 patches of 64x64
    outputs, SGD, 0.01, 0.9, 2e-4; the paper does not state the number of steps: 30,000 was chosen, as in
    IGARSS. Neither paper flips or turns patches, or weighs classes.

    Raises:
        TrainingError: If no training of this architecture was published.
    """
    rates = {"fcn-igarss": (1e-4, 16), "mnih": (1e-4, 16), "fcn-rnn": (1e-2, 64)}
    if architecture not in rates:
        raise TrainingError(
            f"No published training of {architecture!r} is known.",
            expected=f"one of {', '.join(rates)}",
            remedy="use the preset 'fast'",
        )
    learning_rate, patch_px = rates[architecture]
    return CoarseSettings(
        optimizer="sgd",
        learning_rate=learning_rate,
        momentum=0.9,
        weight_decay=2e-4,
        training_steps=30_000,
        batch=64,
        patch_px=patch_px,
        symmetries=False,
    )


def paper_refiner() -> RefinerSettings:
    """Return the RNN paper's training of its refiner: AdaGrad, rate 0.01, 50,000 steps, random patches.

    The paper does not state the patches: batches of 64 of 64x64 outputs were chosen, as for its coarse
    network.
    """
    return RefinerSettings(
        optimizer="adagrad",
        learning_rate=1e-2,
        training_steps=50_000,
        batch=64,
        patch_px=64,
        symmetries=False,
    )


def fast_coarse() -> CoarseSettings:
    """Return a coarse training of about a minute on two cores: AdamW with a one-cycle rate.

    Patches are drawn and weighed as in the papers: uniformly, all pixels alike. It is kept short on purpose: on
    imprecise labels a longer training learns their errors.
    """
    return CoarseSettings(
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=1e-2,
        schedule="one-cycle",
        training_steps=1_000,
        batch=16,
        patch_px=64,
        validate_every=250,
    )


def fast_refiner() -> RefinerSettings:
    """Return a refiner training of one to two minutes on two cores: AdamW with a one-cycle rate, balanced patches.

    Patches are not flipped or turned, as in the paper: shadows fall one way in a scene, and a refiner may learn which.
    """
    return RefinerSettings(
        optimizer="adamw",
        learning_rate=1e-2,
        weight_decay=1e-4,
        schedule="one-cycle",
        training_steps=1_500,
        batch=8,
        patch_px=64,
        balance="balanced",
        symmetries=False,
        validate_every=500,
    )


def fast_wide_refiner() -> RefinerSettings:
    """Return a training of the refiner of a wider view, of a few minutes on two cores.

    AdamW with a one-cycle rate, balanced patches, cross-entropy and overlap on every step. Patches are flipped and
    turned: it sees whole buildings, and on small ground learns them by heart. The last weights are kept: at the height
    of the rate a good score on a small strip is chance (512 x 230 pixels of Kampala: mean IoU 58 % with the weights
    that did best on the strip, 64 % with the last; the demo with aligned labels: 70 % and 78 %).
    """
    return RefinerSettings(
        optimizer="adamw",
        learning_rate=6e-3,
        weight_decay=1e-2,
        schedule="one-cycle",
        training_steps=1_200,
        batch=4,
        patch_px=96,
        balance="balanced",
        symmetries=True,
        validate_every=400,
        keep_last=True,
        gradient_clip=1.0,
        deep_supervision=0.3,
        overlap=1.0,
    )
