"""What trainings of coarse networks and refiners do with a batch: the scores, the loss, and the optimiser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from crispmap.classes import ClassSchema
from crispmap.data.batches import Batch
from crispmap.errors import TrainingError, number_of
from crispmap.geo.squares import Squares
from crispmap.models.base import CoarseNetwork, Refiner
from crispmap.models.settings import TrainingSettings
from crispmap.training.losses import LossChoice, weighted_loss
from crispmap.types import FloatArray


class SegmentationTask(nn.Module, ABC):
    """What the training of a coarse network and of a refiner have in common.

    Patches have a context of ``margin_px`` on every side; patch and tile sides are multiples of ``stride_px``. Where
    there are ``squares``, scores and labels are one a square.
    """

    title: str  # what a person calls it

    def __init__(
        self, network: CoarseNetwork | Refiner, settings: TrainingSettings, schema: ClassSchema, margin_px: int
    ) -> None:
        super().__init__()
        if network.classes != len(schema):
            raise TrainingError(
                f"The network gives {number_of(network.classes, 'class')}.",
                expected=f"the {len(schema)} of the schema: {', '.join(schema.names)}",
            )
        self.network, self.settings, self.schema = network, settings, schema
        self.margin_px, self.stride_px = margin_px, 1
        self.squares: Squares | None = None
        self.register_buffer("class_weights", None, persistent=False)

    @abstractmethod
    def scores(self, batch: Batch) -> Tensor:
        """Return the network's scores (batch, class, row, col) of a batch of patches, a score a label."""

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return self.loss_of(self.scores(batch), batch["labels"])

    def begin_step(self, step: int) -> None:
        """Make ready for a step, counted from 0, in training mode."""

    def weigh_classes(self, weights: FloatArray | None) -> None:
        """Weight each class's pixels in the loss, float32 (class,); None: all alike."""
        self.class_weights = None if weights is None else torch.from_numpy(weights)

    def loss_of(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss that the settings choose, of logits and labels with at least one labelled pixel, float32."""
        choice = LossChoice(self.class_weights, self.settings.label_smoothing)
        return weighted_loss(scores, labels, self.settings.loss_terms, choice)

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss: devices that share a training observe the forward pass."""
        return self.loss(batch)


class CoarseTask(SegmentationTask):
    """Trains a coarse network on images and labels; it must have the classes of the schema."""

    title = "coarse network"
    network: CoarseNetwork

    def __init__(self, network: CoarseNetwork, settings: TrainingSettings, schema: ClassSchema) -> None:
        super().__init__(network, settings, schema, network.train_margin_px)
        self.stride_px, self.squares = network.stride_px, network.squares
        if network.encoder is None and (settings.encoder_rate != 1 or settings.frozen_steps):
            raise TrainingError(
                f"encoder_rate is {settings.encoder_rate} and frozen_steps {settings.frozen_steps}; "
                f"{network.architecture} has no encoder.",
                expected="1 and 0, or a network with an encoder",
            )

    def begin_step(self, step: int) -> None:
        """Let the encoder learn, its batch normalisation too, or keep it as it is in the first steps."""
        encoder = self.network.encoder
        if encoder is not None:
            learns = step >= self.settings.frozen_steps
            encoder.requires_grad_(learns).train(learns)

    def scores(self, batch: Batch) -> Tensor:  # noqa: D102 - as the base class
        # Bands innermost: a step of the paper's network takes 15 % less time on a CPU (2 cores, measured).
        try:
            scores: Tensor = self.network(batch["image"].contiguous(memory_format=torch.channels_last))
        except ValueError as error:  # PyTorch's batch normalisation of a single number
            raise TrainingError(
                f"Batches of {len(batch['image'])} patches are too small for {self.network.architecture}: {error}.",
                expected="two patches a device or more, or patches larger than the network's stride",
                remedy="set a larger batch, or larger patches",
            ) from error
        return scores if self.squares is None else scores[..., :: self.stride_px, :: self.stride_px]


class RefinerTask(SegmentationTask):
    """Trains a refiner on images, coarse scores and labels, in float32; it must have the classes of the schema."""

    title = "refiner"
    network: Refiner

    def __init__(self, network: Refiner, settings: TrainingSettings, schema: ClassSchema) -> None:
        if settings.precision != "float32":
            raise TrainingError(
                f"precision is {settings.precision!r}.",
                expected="'float32': a refiner in bfloat16 loses the small updates of an iteration",
            )
        super().__init__(network, settings, schema, network.margin_px)

    def scores(self, batch: Batch) -> Tensor:  # noqa: D102 - as the base class
        scores: Tensor = self.network(batch["scores"], batch["image"])
        return scores

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of the last iteration, mixed by deep supervision with the mean of the iterations between."""
        share = self.settings.deep_supervision
        if share == 0:
            return super().loss(batch)
        _, *between, last = self.network.all_iterations(batch["scores"], batch["image"])
        loss = self.loss_of(last, batch["labels"])
        if not between:
            return loss
        earlier = torch.stack([self.loss_of(one, batch["labels"]) for one in between]).mean()
        return (1 - share) * loss + share * earlier


def optimizer_of(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters that are trained."""
    groups = _parameter_groups(network, settings)
    if not groups:
        raise TrainingError(
            f"{type(network).__name__} has no weights to train.",
            expected="a network with weights",
            remedy="use it as it is, without training",
        )
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, rate, momentum=settings.momentum, weight_decay=decay)
    if settings.optimizer == "adagrad":
        return torch.optim.Adagrad(groups, rate, weight_decay=decay)
    return torch.optim.AdamW(groups, rate, weight_decay=decay)


def _parameter_groups(network: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Return the parameters that are trained: those of an encoder last, with their learning rate."""
    encoder = network.encoder if isinstance(network, CoarseNetwork) else None
    inside = set() if encoder is None else {id(one) for one in encoder.parameters()}
    trained = [one for one in network.parameters() if one.requires_grad]
    rest = {"params": [one for one in trained if id(one) not in inside], "lr": settings.learning_rate}
    own_rate = settings.learning_rate * settings.encoder_rate
    own = {"params": [one for one in trained if id(one) in inside], "lr": own_rate}
    return [group for group in (rest, own) if group["params"]]


def schedule_of(optimizer: torch.optim.Optimizer, settings: TrainingSettings) -> LRScheduler:
    """Return the schedule of the learning rate, which advances after every step."""
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, settings.max_steps)
    if settings.schedule == "one-cycle":
        highest = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, highest, total_steps=settings.max_steps, cycle_momentum=False)
    return ConstantLR(optimizer, factor=1.0)
