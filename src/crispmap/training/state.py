"""The state of a training, from which it can go on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Json, NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from crispmap.errors import ModelError

HistoryRow = dict[str, float]


class TrainingState(BaseModel):
    """The state of a training after some steps, as it is written."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)

    identity: Json[dict[str, Any]]  # of the folder it was written to
    global_step: NonNegativeInt
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    history: list[dict[str, int | float]]  # rows as ``HistoryRow``
    best_score: float | None
    seconds: NonNegativeFloat
    loss_sum: float = 0.0  # of the steps since the last row of the history, and how many they are
    loss_count: NonNegativeInt = 0

    def restore(self, network: nn.Module, optimizer: Optimizer, schedule: LRScheduler) -> None:
        """Bring a network, its optimiser and the schedule of its learning rate to this state.

        Raises:
            ModelError: If the state is of others, or damaged.
        """
        try:
            network.load_state_dict(self.network)
            optimizer.load_state_dict(self.optimizer)
            schedule.load_state_dict(self.schedule)
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"The state of the training is damaged: {error}.",
                expected="the state of this network, its optimiser and its schedule",
                remedy="train again with force=True",
            ) from error
