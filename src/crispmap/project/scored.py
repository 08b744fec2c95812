"""A project's test areas: what its maps are scored on."""

from __future__ import annotations

from typing import Any

from crispmap.evaluation.readers import AreaUnion
from crispmap.geo.areas import box_of
from crispmap.geo.grid import Block
from crispmap.project.inputs import SceneInputs, Sources
from crispmap.report.pictures.photos import rgb_preview


class ScoredScene:
    """The test areas of one scene with their reference.

    Args:
        inputs: The scene.

    Attributes:
        name: Of the scene.
        image: The scene on the working grid.
        grid: That grid.
        areas: The test areas.
        pixels: The pixels of all areas.
        box: The smallest block that holds them.
        reference: Precise labels on the grid.
    """

    def __init__(self, inputs: SceneInputs) -> None:
        self.inputs, self.name, self.image = inputs, inputs.scene.name, inputs.image
        self.grid = self.image.grid
        self.areas = inputs.areas["test"]
        self.pixels = AreaUnion(self.areas)
        self.box = box_of(self.areas)
        self.reference = inputs.reference(self.grid)

    def picture(self, block: Block) -> Any:
        """Return a block as a picture, uint8 (row, col, 3)."""
        pixels, valid = self.image.read(block)
        return rgb_preview(pixels, valid=valid)


def scored_scenes(sources: Sources) -> list[ScoredScene]:
    """Return the scenes of a project that have test areas; of a project that can be scored there is at least one."""
    return [ScoredScene(one) for one in sources.scenes if one.areas.get("test")]


def title_of(scene: ScoredScene, block: Block, sources: Sources) -> str:
    """Return where a block lies, in words."""
    where = f"rows {block.row} to {block.row_stop}, columns {block.col} to {block.col_stop}"
    return where if len(sources.scenes) == 1 else f"{scene.name}, {where}"
