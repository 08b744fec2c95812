"""How weights start, for networks and refiners alike."""

from __future__ import annotations

import math

from torch import Tensor, nn


def init_fan_in(weight: Tensor, fan_in: int) -> None:
    """Fill a weight uniformly with variance 1 / fan_in.

    Source: "a distribution that depends on the number of neuron inputs", Maggiori et al., after Glorot and Bengio 2010.
    """
    bound = math.sqrt(3.0 / fan_in)
    nn.init.uniform_(weight, -bound, bound)
