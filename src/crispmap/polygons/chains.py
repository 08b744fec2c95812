"""Ordered chains and rings from successors, computed for all items at once."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Indices: TypeAlias = NDArray[np.int64]

END = -1  # the successor of the last item of a chain


def ordered(successor: Indices) -> tuple[Indices, Indices]:
    """Return the items chain by chain, each followed by its successor, and the length of each chain.

    A chain starts at the item without predecessor, a ring at its lowest item. Chains and rings are in the order of
    their lowest item. Takes time n log n (list ranking by pointer doubling; Wyllie 1979).

    Args:
        successor: (n,) the successor of each item, or END; all others are distinct.

    Returns:
        The items, a permutation of 0..n-1, and the lengths, which sum to n.
    """
    count = len(successor)
    if not count:
        return successor, successor
    items = np.arange(count)
    linked = successor != END
    links = csr_array((np.ones(linked.sum(), np.bool_), (items[linked], successor[linked])), shape=(count, count))
    _, label = connected_components(links, directed=False)
    _, lowest, label = np.unique(label, return_index=True, return_inverse=True)
    chain = np.argsort(np.argsort(lowest))[label]  # numbered by lowest item
    begins = np.ones(count, np.bool_)
    begins[successor[linked]] = False
    headed = np.zeros(len(lowest), np.bool_)
    headed[label[begins]] = True
    begins[lowest[~headed]] = True  # rings are cut before their lowest item
    after = np.where(linked, successor, items)
    after = np.where(begins[after], items, after)
    order = np.lexsort((-_steps_to_end(after), chain))
    return order, np.bincount(chain, minlength=len(lowest))


def _steps_to_end(after: Indices) -> Indices:
    """Return the number of steps from each item to the end of its chain, whose last item is its own successor."""
    after = after.copy()
    steps: Indices = (after != np.arange(len(after))).astype(np.int64)
    active = np.flatnonzero(steps)
    while len(active):
        ahead = after[active]
        more = steps[ahead]
        steps[active] += more
        after[active] = after[ahead]
        active = active[more > 0]
    return steps


def spread(lengths: Indices) -> tuple[Indices, Indices]:
    """Return, for items stored run by run, the run of each item and its place in that run."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    start = np.cumsum(lengths) - lengths
    return run, np.arange(len(run)) - start[run]
