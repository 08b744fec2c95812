"""The folded recurrence: as one loop, and for CPUs with a backward pass written for their caches.

    u_{t+1} = u_t + w2 . relu(A * u_t + G * g(I) + b1) + b2     (for every class its own A, G, b1, w2, b2)

On a CPU plain autograd spends most of a training step on zero-padded gradients of crops, on cache misses, and on slow
kernels for grouped weights. ``CpuRecurrence`` processes the batch in pairs and sums gradients in place. Inside, arrays
are class-major, (class, sample, ..), so that the data of one class are contiguous. Results and gradients equal the
plain loop's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.models.base import crop

_CHUNK = 2  # samples processed together: one leaves a core idle, more miss the cache (measured on 2 cores)

_aten = torch.ops.aten


class Folded(NamedTuple):
    """One step's weights with the filters M and N folded into the hidden layer."""

    kernel: Tensor  # on the class's own score map, (class * hidden, 1, 5, 5)
    image_kernel: Tensor  # on the feature maps of the image, (class * hidden, map, 5, 5)
    hidden_bias: Tensor  # (class * hidden,)
    readout: Tensor  # (class, hidden)
    bias: Tensor  # (class,)


def recur(scores: Tensor, maps: Tensor, weights: Folded, steps: int) -> list[Tensor]:
    """Return the scores after each of the steps 1 .. ``steps``; each step removes 2 px on every side.

    Args:
        scores: u_0, (batch, class, row, col).
    """
    if scores.device.type == "cpu":
        from crispmap.refiners.rnn.compiled import CompiledRecurrence, compiled_loops, suited

        form = CompiledRecurrence if suited(weights) and compiled_loops() is not None else CpuRecurrence
        return list(form.apply(scores, maps, steps, *weights))
    return recur_plainly(scores, maps, weights, steps)


def recur_plainly(scores: Tensor, maps: Tensor, weights: Folded, steps: int) -> list[Tensor]:
    """Return what ``recur`` returns, in plain operations: the form for GPUs, and the reference for the other."""
    classes = scores.shape[1]
    term = F.conv2d(maps, weights.image_kernel, weights.hidden_bias)
    results = []
    for step in range(steps):
        hidden = torch.relu(F.conv2d(scores, weights.kernel, groups=classes) + crop(term, 2 * step))
        update = F.conv2d(hidden, weights.readout[:, :, None, None], weights.bias, groups=classes)
        scores = crop(scores, 2) + update
        results.append(scores)
    return results


class CpuRecurrence(torch.autograd.Function):
    """All steps of the folded recurrence, with a backward pass of its own; see ``recur``."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, maps: Tensor, steps: int, *weights: Tensor) -> Any:
        """Return the scores after each of the steps 1 .. ``steps``."""
        ctx.set_materialize_grads(False)
        folded = Folded(*weights)
        walks = [
            _walk(_class_major(scores[start : start + _CHUNK]), maps[start : start + _CHUNK], folded, steps)
            for start in range(0, scores.shape[0], _CHUNK)
        ]
        ctx.walks = [hiddens for _, hiddens in walks] if any(ctx.needs_input_grad) else []
        ctx.scores = [results for results, _ in walks] if any(ctx.needs_input_grad) else []
        ctx.save_for_backward(maps, *weights)
        return tuple(torch.cat([results[step].transpose(0, 1) for results, _ in walks]) for step in range(1, steps + 1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """Return gradients for scores, maps and the weights."""
        maps, *weights = ctx.saved_tensors
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        totals = [torch.zeros_like(weight) for weight in weights]
        d_scores, d_maps = [], []
        start = 0
        for scores, hiddens in zip(ctx.scores, ctx.walks, strict=True):
            part = slice(start, start + scores[0].shape[1])
            chunk_grads = [None if gradient is None else _class_major(gradient[part]) for gradient in grads]
            walk = _Walk(scores, hiddens, maps[part], Folded(*weights))
            d_u, d_map, d_weights = walk.back(chunk_grads, wanted)
            totals = [total.add_(gradient) for total, gradient in zip(totals, d_weights, strict=True)]
            d_scores.append(d_u.transpose(0, 1))
            d_maps.append(d_map)
            start = part.stop
        return (
            torch.cat(d_scores) if wanted[0] else None,
            torch.cat([one for one in d_maps if one is not None]) if wanted[1] else None,
            None,
            *totals,
        )


def _class_major(values: Tensor) -> Tensor:
    """Return (sample, class, ..) as (class, sample, ..), in one piece."""
    return values.transpose(0, 1).contiguous()


def _walk(u: Tensor, maps: Tensor, weights: Folded, steps: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return the scores (class, sample, row, col) before and after every step, and the hidden maps of every step."""
    classes, samples = u.shape[:2]
    units = weights.readout.shape[1]
    kernel = _by_sample(weights.kernel, classes, samples)
    term = F.conv2d(maps, weights.image_kernel, weights.hidden_bias)
    term = _class_major(term.view(samples, classes, units, *term.shape[-2:]))
    results, hiddens = [u], []
    for step in range(steps):
        hidden = F.conv2d(_as_groups(u), kernel, groups=classes * samples)
        hidden = hidden.view(classes, samples, units, *hidden.shape[-2:])
        hidden.add_(crop(term, 2 * step)).relu_()
        update = torch.matmul(weights.readout[:, None, None, :], hidden.flatten(3)).view(crop(u, 2).shape)
        u = update.add_(weights.bias[:, None, None, None]).add_(crop(u, 2))
        results.append(u)
        hiddens.append(hidden)
    return results, hiddens


class _Walk(NamedTuple):
    """The forward pass of one chunk, for its backward pass."""

    scores: list[Tensor]  # (class, sample, row, col) before and after every step
    hiddens: list[Tensor]  # (class, sample, unit, row, col) of every step
    maps: Tensor  # (sample, map, row, col)
    weights: Folded  # the folded weights

    def back(
        self, grads: list[Tensor | None], wanted: tuple[bool, bool]
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """Return the gradients of the first scores, of the maps (both only if wanted) and of the weights."""
        kernel, image_kernel, _, readout, bias = self.weights
        classes, samples = self.hiddens[0].shape[:2]
        # The read-out, one number per hidden unit, is multiplied into the small kernels instead of the large maps, so
        # that the gradient of the hidden layer needs one pass over memory instead of two.
        per_unit = readout.reshape(-1, 1, 1, 1)
        weighted = _by_sample(kernel * per_unit, classes, samples)
        d_kernel, d_bias = torch.zeros_like(kernel), torch.zeros_like(bias)
        d_term = torch.zeros_like(self.hiddens[0])
        last = grads[-1]
        d_u = torch.zeros_like(self.scores[-1]) if last is None else last
        for step in reversed(range(len(self.hiddens))):
            u, hidden = self.scores[step], self.hiddens[step]
            d_bias += d_u.sum((1, 2, 3))
            active = torch.as_tensor(_aten.threshold_backward(d_u[:, :, None].expand_as(hidden), hidden, 0))
            crop(d_term, 2 * step).add_(active)
            d_kernel += _kernel_gradient(active, u, kernel)
            if step == 0 and not wanted[0]:
                break
            before = _input_gradient(active, u, weighted)
            crop(before, 2).add_(d_u)
            earlier = grads[step - 1] if step > 0 else None
            d_u = before if earlier is None else before.add_(earlier)
        d_image_kernel = _image_kernel_gradient(d_term, self.maps, image_kernel)
        d_hidden_bias = d_term.sum((1, 3, 4)).flatten()
        by_sample = d_term.transpose(0, 1).flatten(1, 2)
        d_maps = maps_gradient(by_sample, self.maps, self.weights) if wanted[1] else None
        return (
            d_u,
            d_maps,
            folded_gradients(self.weights, Folded(d_kernel, d_image_kernel, d_hidden_bias, readout, d_bias)),
        )


def folded_gradients(weights: Folded, found: Folded) -> Folded:
    """Return the gradients of weights, of which those found lack the read-out as a factor, and that of the read-out.

    Where a unit is active its output is linear in what it is folded from. So the gradient of its read-out, the sum of
    output times gradient over all pixels, is the sum of weight times gradient over the few weights.
    """
    per_unit = weights.readout.reshape(-1, 1, 1, 1)
    inner = (weights.kernel * found.kernel).sum((1, 2, 3)) + (weights.image_kernel * found.image_kernel).sum((1, 2, 3))
    readout = (inner + weights.hidden_bias * found.hidden_bias).view(weights.readout.shape)
    bias = found.hidden_bias * per_unit.flatten()
    return Folded(found.kernel * per_unit, found.image_kernel * per_unit, bias, readout, found.bias)


def maps_gradient(d_term: Tensor, maps: Tensor, weights: Folded) -> Tensor:
    """Return the gradient of the maps of the image from that of what they add, (sample, unit, row, col)."""
    kernel = weights.image_kernel * weights.readout.reshape(-1, 1, 1, 1)
    return _convolution_backward(d_term, maps, kernel, 1, (True, False, False))[0]


def _as_groups(values: Tensor) -> Tensor:
    """Return (class, sample, .., row, col) as the one sample (1, class * sample * .., row, col)."""
    return values.view(1, -1, *values.shape[-2:])


def _by_sample(kernel: Tensor, classes: int, samples: int) -> Tensor:
    """Return the kernels (class * unit, ..) repeated for every sample, (class * sample * unit, ..)."""
    by_class = kernel.view(classes, 1, -1, *kernel.shape[1:])
    return by_class.expand(-1, samples, *by_class.shape[2:]).reshape(-1, *kernel.shape[1:])


def _kernel_gradient(active: Tensor, u: Tensor, kernel: Tensor) -> Tensor:
    # Class by class: twice as fast as one grouped convolution's weight gradient.
    units = active.shape[2]
    parts = [
        _convolution_backward(active[k], u[k][:, None], kernel[k * units : (k + 1) * units], 1, (False, True, False))[1]
        for k in range(active.shape[0])
    ]
    return torch.cat(parts)


def _image_kernel_gradient(d_term: Tensor, maps: Tensor, kernel: Tensor) -> Tensor:
    # As matrix products with the unfolded maps: more than twice as fast as the convolution's weight gradient.
    patches = F.unfold(maps, kernel.shape[-1]).transpose(1, 2)
    parts = [torch.bmm(of_class.flatten(2), patches).sum(0) for of_class in d_term]
    return torch.cat(parts).view(kernel.shape)


def _input_gradient(active: Tensor, u: Tensor, kernel: Tensor) -> Tensor:
    groups = u.shape[0] * u.shape[1]
    gradient = _convolution_backward(_as_groups(active), _as_groups(u), kernel, groups, (True, False, False))[0]
    return gradient.view(u.shape)


def _convolution_backward(
    gradient: Tensor, source: Tensor, kernel: Tensor, groups: int, needed: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the needed gradients of a valid convolution's source and kernel, without bias."""
    found: tuple[Tensor, Tensor, Tensor] = _aten.convolution_backward(
        gradient, source, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, list(needed)
    )
    return found
