"""The folded recurrence as one differentiable function, with a backward pass written for caches.

    u_{t+1} = u_t + w2 . relu(A * u_t + G * g(I) + b1) + b2     (for every class its own A, G, b1, w2, b2)

Plain autograd spends most of a training step on zero-padded gradients of crops and on generic kernels for the read-out;
here gradients are summed in place and the batch is walked in pairs, so that what is written is still in cache when
it is read. The result and its gradients equal the plain form's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.refine.base import crop

_CHUNK = 2
"""Samples walked together on a CPU: one leaves a core idle, more fall out of the cache (measured on 2 cores)."""

_aten = torch.ops.aten


class Recurrence(torch.autograd.Function):
    """All steps of the folded recurrence with weights shared by the steps; see ``recur``."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, maps: Tensor, steps: int, *weights: Tensor) -> Any:
        """Return the scores after each of the steps 1 .. ``steps``."""
        kernel, image_kernel, hidden_bias, readout, bias = weights
        ctx.set_materialize_grads(False)
        batch, classes = scores.shape[:2]
        chunk = _CHUNK if scores.device.type == "cpu" else batch
        rows, last = [], []
        for start in range(0, batch, chunk):
            u = scores[start : start + chunk]
            term = F.conv2d(maps[start : start + chunk], image_kernel, hidden_bias)
            row = []
            for step in range(steps):
                hidden = F.conv2d(u, kernel, groups=classes).add_(crop(term, 2 * step)).relu_()
                row.append((u, hidden))
                u = _read_out(hidden, readout).add_(bias[:, None, None]).add_(crop(u, 2))
            rows.append(row)
            last.append(u)
        ctx.rows = rows if any(ctx.needs_input_grad) else []
        ctx.save_for_backward(maps, *weights)
        return *(torch.cat([row[step][0] for row in rows]) for step in range(1, steps)), torch.cat(last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """Return gradients for scores, maps and the weights."""
        maps, *weights = ctx.saved_tensors
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        totals = [torch.zeros_like(weight) for weight in weights]
        d_scores, d_maps = [], []
        start = 0
        for row in ctx.rows:
            part = slice(start, start + row[0][0].shape[0])
            chunk_grads = [None if gradient is None else gradient[part] for gradient in grads]
            d_u, d_map, d_weights = _backward_chunk(row, maps[part], weights, chunk_grads, wanted)
            totals = [total.add_(gradient) for total, gradient in zip(totals, d_weights, strict=True)]
            d_scores.append(d_u)
            d_maps.append(d_map)
            start = part.stop
        return (
            torch.cat(d_scores) if wanted[0] else None,
            torch.cat(d_maps) if wanted[1] else None,
            None,
            *totals,
        )


def _backward_chunk(
    row: list[tuple[Tensor, Tensor]],
    maps: Tensor,
    weights: list[Tensor],
    grads: list[Tensor | None],
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Walk one chunk's steps back; return the gradients of its scores, its maps and the weights."""
    kernel, image_kernel, hidden_bias, readout, bias = weights
    # Readout is a number a hidden unit: it is taken out of the large maps and multiplied into the small kernels, so
    # that the gradient of the hidden layer needs one pass over memory instead of two.
    per_unit = readout.reshape(-1, 1, 1, 1)
    weighted_kernel = kernel * per_unit
    d_kernel, d_readout, d_bias = torch.zeros_like(kernel), torch.zeros_like(readout), torch.zeros_like(bias)
    d_term = torch.zeros_like(row[0][1])
    last = grads[-1]
    d_u = torch.zeros_like(crop(row[-1][0], 2)) if last is None else last.contiguous()
    for step in reversed(range(len(row))):
        u, hidden = row[step]
        d_bias += d_u.sum((0, 2, 3))
        d_readout += _readout_gradient(d_u, hidden, readout)
        active = _where_active(d_u, hidden, readout.shape)
        crop(d_term, 2 * step).add_(active)
        needed = [step > 0 or wanted[0], True, False]
        before, d_kernel_step, _ = _convolution_backward(active, u, weighted_kernel, bias.shape[0], needed)
        d_kernel += d_kernel_step
        if before is not None:
            crop(before, 2).add_(d_u)
            earlier = grads[step - 1] if step > 0 else None
            d_u = before if earlier is None else before.add_(earlier)
    d_maps, d_image_kernel, d_hidden_bias = _convolution_backward(
        d_term, maps, image_kernel * per_unit, 1, [wanted[1], True, True], hidden_bias.shape[0]
    )
    return d_u, d_maps, [
        d_kernel * per_unit, d_image_kernel * per_unit, d_hidden_bias * per_unit.flatten(), d_readout, d_bias
    ]  # fmt: skip


def _convolution_backward(
    gradient: Tensor,
    source: Tensor,
    kernel: Tensor,
    groups: int,
    needed: list[bool],
    biases: int | None = None,
) -> Any:
    """Return the gradients of a valid convolution's source, kernel and bias, each where needed."""
    sizes = None if biases is None else [biases]
    return _aten.convolution_backward(
        gradient, source, kernel, sizes, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, needed
    )


def _read_out(hidden: Tensor, readout: Tensor) -> Tensor:
    batch, _, height, width = hidden.shape
    classes, units = readout.shape
    pixels = hidden.view(batch, classes, units, height * width)
    return torch.matmul(readout[:, None, :], pixels).view(batch, classes, height, width)


def _readout_gradient(d_u: Tensor, hidden: Tensor, readout: Tensor) -> Tensor:
    # The weight gradient of a grouped 1x1 convolution: six times faster here than a batched matrix-vector product.
    classes, units = readout.shape
    _, gradient, _ = _convolution_backward(
        d_u, hidden, readout.view(classes, units, 1, 1), classes, [False, True, False]
    )
    return torch.as_tensor(gradient).view(classes, units)


def _where_active(d_u: Tensor, hidden: Tensor, shape: torch.Size) -> Tensor:
    """Return d_u of the class for every hidden unit that is active, else 0: (batch, class * unit, row, col)."""
    batch, _, height, width = hidden.shape
    units = hidden.view(batch, *shape, height, width)
    return torch.as_tensor(_aten.threshold_backward(d_u[:, :, None].expand_as(units), units, 0)).view_as(hidden)


class Folded(NamedTuple):
    """One step's weights with the filters M and N folded into the hidden layer.

    Attributes:
        kernel: On the class's own score map, (class * hidden, 1, 5, 5).
        image_kernel: On the feature maps of the image, (class * hidden, map, 5, 5).
        hidden_bias: (class * hidden,).
        readout: (class, hidden).
        bias: (class,).
    """

    kernel: Tensor
    image_kernel: Tensor
    hidden_bias: Tensor
    readout: Tensor
    bias: Tensor


def recur(scores: Tensor, maps: Tensor, weights: Folded, steps: int) -> list[Tensor]:
    """Return the scores after each of the steps 1 .. ``steps``; each step takes 2 px off every side.

    Args:
        scores: u_0, (batch, class, row, col).
        maps: Feature maps of the image, (batch, map, row, col).
        weights: The folded weights.
        steps: Steps, 1 or more.
    """
    return list(Recurrence.apply(scores, maps, steps, *weights))  # type: ignore[no-untyped-call]
