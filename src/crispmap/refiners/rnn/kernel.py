"""Loops of one step of the folded recurrence and its gradients, compiled by Numba, which must be installed.

Of a step only the bits of the units that are active are kept. Two units are worked on at a time, since they read the
same scores. All arrays are C-contiguous and of one floating type; nothing is compiled before the first call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_Loop = TypeVar("_Loop", bound=Callable[..., None])


def _compiled(loop: _Loop) -> _Loop:
    """Return a loop to be compiled at its first call, outside Python's lock; in plain Python it would take hours."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # set as it is imported
        raise RuntimeError("NUMBA_DISABLE_JIT is set")
    compile_it = numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
    return cast(_Loop, compile_it(loop))


@_compiled
def add_products(one: Array, other: Array, line: Array, sums: Array, other_sums: Array) -> None:
    """Add to sums the products of two runs of pixels, whose last 4 are 0, with one shifted by 0 to 4.

    Rows follow one another with 4 zeros between them, so that a whole image is one run: sums are ended once.
    """
    s0 = s1 = s2 = s3 = s4 = t0 = t1 = t2 = t3 = t4 = line.dtype.type(0)
    for x in range(len(one) - 4):
        a, b = one[x], other[x]
        v0, v1, v2, v3, v4 = line[x], line[x + 1], line[x + 2], line[x + 3], line[x + 4]
        s0 += a * v0
        s1 += a * v1
        s2 += a * v2
        s3 += a * v3
        s4 += a * v4
        t0 += b * v0
        t1 += b * v1
        t2 += b * v2
        t3 += b * v3
        t4 += b * v4
    for place, total in enumerate((s0, s1, s2, s3, s4)):
        sums[place] += total
    for place, total in enumerate((t0, t1, t2, t3, t4)):
        other_sums[place] += total


@_compiled
def step(  # noqa: PLR0913, PLR0917 - arrays, as Numba takes them
    u: Array, kernel: Array, term: Array, margin: int, readout: Array, result: Array, mask: Array
) -> None:
    """Add the update of a step to the scores of one class, and set the bits of the units that are active.

    Args:
        u: Scores before, (row + 4, col + 4).
        kernel: On them, (unit, 5, 5); units are even in number.
        term: What the image adds to each unit, (unit, row + 2 margin, col + 2 margin).
        margin: Pixels of ``term`` around the result.
        readout: (unit,).
        result: The scores after, (row, col), which hold those before and the bias.
        mask: uint32 (row, col), 0.
    """
    rows, cols = result.shape
    one, other = np.empty(cols, u.dtype), np.empty(cols, u.dtype)
    zero, none = u.dtype.type(0), np.uint32(0)
    for unit in range(0, len(kernel), 2):
        weight, other_weight = readout[unit], readout[unit + 1]
        bit, next_bit = np.uint32(1 << unit), np.uint32(2 << unit)
        for y in range(rows):
            for x in range(cols):
                one[x] = term[unit, y + margin, x + margin]
                other[x] = term[unit + 1, y + margin, x + margin]
            for dy in range(5):
                line, k, q = u[y + dy], kernel[unit, dy], kernel[unit + 1, dy]
                k0, k1, k2, k3, k4 = k[0], k[1], k[2], k[3], k[4]
                q0, q1, q2, q3, q4 = q[0], q[1], q[2], q[3], q[4]
                for x in range(cols):
                    v0, v1, v2, v3, v4 = line[x], line[x + 1], line[x + 2], line[x + 3], line[x + 4]
                    one[x] += k0 * v0 + k1 * v1 + k2 * v2 + k3 * v3 + k4 * v4
                    other[x] += q0 * v0 + q1 * v1 + q2 * v2 + q3 * v3 + q4 * v4
            for x in range(cols):
                active, other_active = one[x] > zero, other[x] > zero
                result[y, x] += weight * max(one[x], zero) + other_weight * max(other[x], zero)
                mask[y, x] |= (bit if active else none) | (next_bit if other_active else none)


@_compiled
def kernel_gradient(u: Array, mask: Array, d_result: Array, d_kernel: Array, d_term: Array, margin: int) -> None:
    """Add what a step gives to the gradients of the kernel and of what the image adds, both without the read-out.

    Args:
        u: Scores before, (row + 4, col + 4).
        mask: Bits of the units that were active, uint32 (row, col).
        d_result: Gradient of the scores after, (row, col).
        d_kernel: (unit, 5, 5).
        d_term: (unit, row + 2 margin, col + 2 margin + 4), of which the last 4 columns are not touched.
        margin: Pixels of ``d_term`` around the result.
    """
    rows, cols = mask.shape
    one, other = np.zeros((rows, cols + 4), u.dtype), np.zeros((rows, cols + 4), u.dtype)
    zero = u.dtype.type(0)
    for unit in range(0, len(d_kernel), 2):
        bit, next_bit = np.uint32(1 << unit), np.uint32(2 << unit)
        for y in range(rows):
            for x in range(cols):
                value, bits = d_result[y, x], mask[y, x]
                one[y, x] = value if bits & bit else zero
                other[y, x] = value if bits & next_bit else zero
                d_term[unit, y + margin, x + margin] += one[y, x]
                d_term[unit + 1, y + margin, x + margin] += other[y, x]
        for dy in range(5):
            add_products(one.ravel(), other.ravel(), u[dy:].ravel(), d_kernel[unit, dy], d_kernel[unit + 1, dy])


@_compiled
def score_gradient(mask: Array, d_result: Array, weighted: Array, d_u: Array) -> None:
    """Add what a step gives to the gradient of the scores before it, by way of the hidden layer.

    Args:
        mask: Bits of the units that were active, uint32 (row, col).
        d_result: Gradient of the scores after, (row, col).
        weighted: The kernel times the read-out, (unit, 5, 5).
        d_u: Gradient of the scores before, (row + 4, col + 4).
    """
    rows, cols = mask.shape
    one, other = np.zeros(cols + 8, d_u.dtype), np.zeros(cols + 8, d_u.dtype)
    zero = d_u.dtype.type(0)
    for y in range(rows):
        for unit in range(0, len(weighted), 2):
            bit, next_bit = np.uint32(1 << unit), np.uint32(2 << unit)
            for x in range(cols):
                value, bits = d_result[y, x], mask[y, x]
                one[x + 4] = value if bits & bit else zero
                other[x + 4] = value if bits & next_bit else zero
            for dy in range(5):
                line, k, q = d_u[y + dy], weighted[unit, dy], weighted[unit + 1, dy]
                k0, k1, k2, k3, k4 = k[0], k[1], k[2], k[3], k[4]
                q0, q1, q2, q3, q4 = q[0], q[1], q[2], q[3], q[4]
                for x in range(cols + 4):
                    line[x] += (
                        k0 * one[x + 4] + k1 * one[x + 3] + k2 * one[x + 2] + k3 * one[x + 1] + k4 * one[x]
                        + q0 * other[x + 4] + q1 * other[x + 3] + q2 * other[x + 2] + q3 * other[x + 1] + q4 * other[x]
                    )  # fmt: skip


@_compiled
def image_kernel_gradient(maps: Array, d_term: Array, d_kernel: Array) -> None:
    """Add what all steps give to the gradient of the kernel on maps, without the read-out.

    Args:
        maps: (map, row + 4, col + 4).
        d_term: (unit, row, col + 4), whose last 4 columns are 0.
        d_kernel: (unit, map, 5, 5).
    """
    for unit in range(0, len(d_term), 2):
        one, other = d_term[unit].ravel(), d_term[unit + 1].ravel()
        for source in range(len(maps)):
            for dy in range(5):
                line = maps[source, dy:].ravel()
                add_products(one, other, line, d_kernel[unit, source, dy], d_kernel[unit + 1, source, dy])
