"""The folded recurrence on CPUs in loops that Numba compiles, where it is installed: faster on few or busy cores."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from crispmap.errors import CrispmapWarning
from crispmap.refiners.rnn.recurrence import Folded, folded_gradients, maps_gradient

_MOST_UNITS = 32  # bits of a mask


@cache
def compiled_loops() -> Any:
    """Return the loops; None where Numba is not installed, or, with a warning, where it does not work."""
    try:
        from crispmap.refiners.rnn import kernel

        one = np.zeros((2, 5, 5), np.float32)
        kernel.step(one[0], one, one, 0, one[0, 0], np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint32))
    except ModuleNotFoundError as error:
        if error.name == "numba":
            return None
        found: Exception = error
    except Exception as error:  # from the libraries it loads to its compiler: it has no one class of errors
        found = error
    else:
        return kernel
    reason = " ".join(str(found).split())[:200] or type(found).__name__
    warnings.warn(
        f"Numba is installed but does not work, so that PyTorch trains refiners: {reason}",
        CrispmapWarning, stacklevel=2,
    )  # fmt: skip
    return None


def suited(weights: Folded) -> bool:
    """Return whether the loops can take weights: floats, of an even number of units that masks have bits for."""
    units = weights.readout.shape[1]
    return units % 2 == 0 and units <= _MOST_UNITS and weights.kernel.dtype in (torch.float32, torch.float64)


class CompiledRecurrence(torch.autograd.Function):
    """All steps of the folded recurrence, class by class of every sample; see ``crispmap.refiners.rnn.recurrence``.

    Results do not depend on the number of threads: each class of a sample is computed by one.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, maps: Tensor, steps: int, *weights: Tensor) -> Any:
        """Return the scores after each of the steps 1 .. ``steps``."""
        ctx.set_materialize_grads(False)
        folded, loops = Folded(*weights), compiled_loops()
        (samples, classes), units = scores.shape[:2], folded.readout.shape[1]
        image_term = F.conv2d(maps, folded.image_kernel, folded.hidden_bias)
        term = _array(image_term.view(samples, classes, units, *image_term.shape[-2:]))
        kernel, readout, bias = _by_class(folded.kernel, classes), _array(folded.readout), _array(folded.bias)
        shapes = [(scores.shape[2] - 4 * step, scores.shape[3] - 4 * step) for step in range(1, steps + 1)]
        results = [scores.new_empty(samples, classes, *shape) for shape in shapes]
        masks = [np.zeros((samples, classes, *shape), np.uint32) for shape in shapes]
        walk = [_array(one) for one in (scores, *results)]

        def run(sample: int, k: int) -> None:
            for step in range(steps):
                u, result = walk[step][sample, k], walk[step + 1][sample, k]
                np.add(u[2:-2, 2:-2], bias[k], out=result)
                loops.step(u, kernel[k], term[sample, k], 2 * step, readout[k], result, masks[step][sample, k])

        _over(samples, classes, run)
        ctx.masks = masks if any(ctx.needs_input_grad) else []
        ctx.save_for_backward(scores, maps, *weights, *results)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """Return gradients for scores, maps and the weights."""
        scores, maps, *saved = ctx.saved_tensors
        folded, loops, masks = Folded(*saved[:5]), compiled_loops(), ctx.masks
        (samples, classes), units = scores.shape[:2], folded.readout.shape[1]
        weighted = _by_class(folded.kernel * folded.readout.reshape(-1, 1, 1, 1), classes)
        walk, images = [_array(one) for one in (scores, *saved[5:-1])], _array(maps)
        given: list[Any] = [None if one is None else _array(one) for one in grads]
        d_kernel = np.zeros((samples, *weighted.shape), weighted.dtype)
        d_image_kernel = np.zeros((samples, classes, units, maps.shape[1], 5, 5), weighted.dtype)
        d_hidden_bias = np.zeros((samples, classes, units), weighted.dtype)
        rows, cols = masks[0].shape[2:]
        kept = np.empty((samples, classes, units, rows, cols), weighted.dtype) if ctx.needs_input_grad[1] else None
        d_bias, d_scores = np.zeros((samples, classes), weighted.dtype), np.zeros_like(walk[0])

        def run(sample: int, k: int) -> None:
            d_term = np.zeros((units, rows, cols + 4), weighted.dtype)
            d_u = np.zeros(masks[-1].shape[2:], weighted.dtype) if given[-1] is None else given[-1][sample, k]
            for step in reversed(range(len(masks))):
                u, mask = walk[step][sample, k], masks[step][sample, k]
                d_bias[sample, k] += d_u.sum()
                loops.kernel_gradient(u, mask, d_u, d_kernel[sample, k], d_term, 2 * step)
                if step == 0 and not ctx.needs_input_grad[0]:
                    break
                before = np.zeros_like(u) if step == 0 or given[step - 1] is None else given[step - 1][sample, k].copy()
                before[2:-2, 2:-2] += d_u
                loops.score_gradient(mask, d_u, weighted[k], before)
                d_u = before
            else:
                d_scores[sample, k] = d_u
            loops.image_kernel_gradient(images[sample], d_term, d_image_kernel[sample, k])
            d_hidden_bias[sample, k] = d_term.sum((1, 2))
            if kept is not None:
                kept[sample, k] = d_term[..., :cols]

        _over(samples, classes, run)
        found = Folded(
            torch.from_numpy(d_kernel.sum(0)).view_as(folded.kernel),
            torch.from_numpy(d_image_kernel.sum(0)).view_as(folded.image_kernel),
            torch.from_numpy(d_hidden_bias.sum(0)).flatten(), folded.readout, torch.from_numpy(d_bias.sum(0)),
        )  # fmt: skip
        return (
            torch.from_numpy(d_scores) if ctx.needs_input_grad[0] else None,
            None if kept is None else maps_gradient(torch.from_numpy(kept).flatten(1, 2), maps, folded),
            None,
            *folded_gradients(folded, found),
        )


def _over(samples: int, classes: int, run: Callable[[int, int], None]) -> None:
    """Run for every class of every sample, in as many threads as PyTorch has."""
    places = list(product(range(samples), range(classes)))
    threads = min(torch.get_num_threads(), len(places))
    if threads == 1:
        for place in places:
            run(*place)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(run, *zip(*places, strict=True)):
            pass


def _array(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.detach().contiguous().numpy()
    return array


def _by_class(kernel: Tensor, classes: int) -> NDArray[Any]:
    """Return a kernel on scores as (class, unit, 5, 5)."""
    return _array(kernel.view(classes, -1, 5, 5))
