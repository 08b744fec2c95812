from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.polygons.chains import END, ordered, spread


def walked(successor: list[int]) -> list[list[int]]:
    """Chains and rings by walking, one item after the other."""
    followers = set(successor)
    heads = [item for item in range(len(successor)) if item not in followers]
    chains, seen = [], set()
    for head in [*heads, *range(len(successor))]:
        chain, item = [], head
        while item != END and item not in seen:
            seen.add(item)
            chain.append(item)
            item = successor[item]
        if chain:
            chains.append(chain)
    return sorted(chains, key=min)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 40).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.sets(st.integers(0, max(0, n - 1)))))
)
def test_chains_and_rings_are_those_found_by_walking(case: tuple[list[int], set[int]]) -> None:
    permutation, ends = case
    successor = [END if item in ends else after for item, after in enumerate(permutation)]
    items, lengths = ordered(np.array(successor, np.int64))
    found = [part.tolist() for part in np.split(items, np.cumsum(lengths)[:-1])] if len(lengths) else []
    assert found == walked(successor)


def test_spread_numbers_runs_and_places() -> None:
    run, place = spread(np.array([2, 0, 3]))
    assert run.tolist() == [0, 0, 2, 2, 2]
    assert place.tolist() == [0, 1, 0, 1, 2]
