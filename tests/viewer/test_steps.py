from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Block
from crispmap.viewer.steps import StepMaps, StepPixels


class Numbered:
    """Stands for a refiner's maps: after i iterations a pixel has the class (row + col + i) % 3."""

    def __init__(self) -> None:
        self.asked: list[Block] = []

    def over(self, block: Block) -> list[tuple[None, NDArray[np.uint8]]]:
        self.asked.append(block)
        rows, cols = np.indices(block.shape)
        return [(None, ((rows + block.row + cols + block.col + i) % 3).astype(np.uint8)) for i in range(4)]


def test_all_steps_of_a_block_are_computed_once_and_thinned_further_out() -> None:
    made = list[Numbered]()

    def opened() -> Any:
        made.append(Numbered())
        return made[-1]

    maps = StepMaps(opened)
    assert made == []  # a network is loaded when it is needed
    block = Block(10, 20, 30, 40)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda step: StepPixels(maps, step).read(1, block), range(4)))
    assert len(made) == 1
    assert made[0].asked == [Block(20, 40, 60, 80)]
    rows, cols = np.indices(block.shape)
    for step, (values, valid) in enumerate(found):
        assert (values[0] == (2 * (rows + 10) + 2 * (cols + 20) + step) % 3).all()
        assert valid.all()
