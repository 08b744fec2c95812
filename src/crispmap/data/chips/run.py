"""Chips of a scene: surveyed, split, balanced and written as one folder."""

from __future__ import annotations

import shutil
import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from crispmap.classes import ClassSchema
from crispmap.data.chips.cut import ChipCut
from crispmap.data.chips.files import IMAGES, MASKS, SHEET, ChipFiles, ChipFormat, check_folder, check_format
from crispmap.data.chips.sheet import MOST, contact_sheet
from crispmap.data.chips.split import ChipSplit, split_chips
from crispmap.data.chips.survey import Chip, balanced, mask_of, survey
from crispmap.errors import CrispmapWarning, SceneError
from crispmap.events import SILENT, Events, progress
from crispmap.files.atomic import scratch_folder
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.grid import Block
from crispmap.labels.mask import open_labels, schema_of_labels
from crispmap.labels.reader import LabelOptions, LabelReader
from crispmap.raster.files import open_scene
from crispmap.raster.pipeline import available_cores, work_through
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene
from crispmap.raster.scene_file import scene_spec, stored_values
from crispmap.raster.targets import write_failure

_WHY = {
    "nodata": "with too many pixels without data or label",
    "buffer": "too near to ground of another role",
    "balance": "left out to balance the classes",
}


@dataclass(frozen=True)
class ChipOptions:
    """Which chips are written, and how."""

    cut: ChipCut = field(default_factory=ChipCut)
    max_nodata: float = 0.1  # greatest share of a chip's pixels without data or label
    split: ChipSplit = field(default_factory=ChipSplit)
    balance: tuple[str, ...] = ()  # classes that as many chips for training show; none: all chips
    form: ChipFormat = "tif"
    unknown: Literal["error", "ignore"] = "error"  # what to do with values of a mask that are no class
    force: bool = False  # replace a folder of chips


@dataclass(frozen=True)
class WrittenChips:
    """What writing chips has come to."""

    folder: Path
    chips: tuple[Chip, ...]  # those written
    dropped: dict[str, int]  # chips not written, by reason
    beyond_px: int  # pixels at the last rows and columns that are in no chip, as a whole one does not fit
    names: tuple[str, ...]  # of the classes

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        pixels = np.sum([one.pixels for one in self.chips], axis=0)
        return {
            "chips": len(self.chips),
            "by_role": dict(sorted(Counter(one.role for one in self.chips).items())),
            "dropped": self.dropped, "pixels_in_no_chip": self.beyond_px,
            "class_shares": dict(zip(self.names, (pixels / pixels.sum()).tolist(), strict=True)),
        }  # fmt: skip


def write_chips(
    scene: Scene,
    labels: LabelReader,
    folder: str | Path,
    name: str,
    options: ChipOptions = ChipOptions(),
    events: Events = SILENT,
) -> WrittenChips:
    """Write squares of a scene with their masks: GeoTIFF or PNG, a manifest, a contact sheet, lists by role.

    The folder appears complete or not at all. Memory does not grow with the scene but by its number of chips.

    Args:
        scene: The image.
        labels: Its labels, on its grid.
        folder: The folder to make.
        name: What names of files begin with.
        options: Which chips are written, and how.
        events: What progress is reported to.

    Raises:
        InputError: If an option is out of range, or the format cannot hold the image.
        SchemaError, LabelError: If the chips are to be balanced by a class that is none, or that no chip shows.
        SceneError: If no chip is left; it says why, by count.
        OutputError: If the folder exists without ``force``, holds other files, or cannot be written.

    Warns:
        CrispmapWarning: If chips overlap, have no coordinates and are not split.
    """
    folder = Path(folder)
    check_format(scene, options.form)
    check_folder(folder, force=options.force)
    _warn_of_overlap(options)
    chips = survey(scene, labels, options.cut.blocks(scene.grid), options.max_nodata, events)
    _refuse_none(chips, scene)
    chips = split_chips(chips, scene.grid, options.split)
    if options.balance:
        chips = balanced(chips, labels.schema, options.balance, options.split.seed)
    kept = tuple(one for one in chips if not one.dropped)
    dropped = dict(sorted(Counter(one.dropped for one in chips if one.dropped).items()))
    result = WrittenChips(folder, kept, dropped, options.cut.beyond(scene.grid), labels.schema.names)
    try:
        with scratch_folder(folder) as scratch:
            files = ChipFiles(scratch / "chips", name, labels.schema, options.form)
            _write_all(scene, labels, files, kept, events)
            files.describe(kept, scene.grid, result.to_dict())
            sheet = contact_sheet([_read(scene, labels, one.block) for one in _spread(kept)], labels.schema)
            (files.folder / SHEET).write_bytes(sheet)
            check_folder(folder, force=options.force)  # another program may have written it meanwhile
            if folder.exists():
                shutil.rmtree(folder)
            files.folder.rename(folder)
    except (RasterioError, OSError) as error:
        raise write_failure(folder, error, kept="no chip has been kept") from error
    return result


def chip_files(
    scene: SceneRef,
    labels: Path,
    folder: str | Path,
    schema: ClassSchema | None = None,
    options: ChipOptions = ChipOptions(),
    events: Events = SILENT,
) -> WrittenChips:
    """Write the chips of a scene in files and of labels in a file; see ``write_chips``.

    Args:
        scene: The scene.
        labels: Vectors, or a mask of ids or colours.
        folder: The folder to make.
        schema: The classes; by default those a class map carries, else the default ones.
        options: Which chips are written, and how.
        events: What progress is reported to.

    Raises:
        CrispmapError: As ``open_scene``, ``open_labels`` and ``write_chips``.
    """
    with few_blocks_kept(), open_scene(scene) as opened:
        how = LabelOptions(unknown=options.unknown, turn=opened.turn)
        reader = open_labels(labels, schema or schema_of_labels(labels), opened.grid, options=how)
        with closing(reader):
            return write_chips(opened, reader, folder, scene.name, options, events)


def reasons(dropped: dict[str, int]) -> str:
    """Return why chips are not written, in words."""
    return ", ".join(f"{count} {_WHY[reason]}" for reason, count in dropped.items())


def _warn_of_overlap(options: ChipOptions) -> None:
    """Warn where nothing later tells which chips show the same ground."""
    cut = options.cut
    if options.form == "png" and cut.step_px < cut.size_px and not options.split.shares:
        warnings.warn(
            "The chips overlap, and PNG has no coordinates: a later split cannot keep those of one ground together. "
            "Give validation and test here, or write GeoTIFF.",
            CrispmapWarning, stacklevel=3,
        )  # fmt: skip


def _refuse_none(chips: Sequence[Chip], scene: Scene) -> None:
    """Raise SceneError where every chip is dropped."""
    if all(one.dropped for one in chips):
        least = min(one.missing for one in chips)
        raise SceneError(
            f"All {len(chips)} chips of {scene.path} are dropped: {reasons(Counter(one.dropped for one in chips))}; "
            f"the best lacks {least:.0%}.",
            expected="a chip at least with data and labels", remedy="Give a larger max_nodata=, or smaller chips.",
        )  # fmt: skip


def _write_all(scene: Scene, labels: LabelReader, files: ChipFiles, chips: Sequence[Chip], events: Events) -> None:
    """Write the images and masks of all chips."""
    spec = scene_spec(scene, files.folder, "same", {})
    nodata = 0.0 if spec.nodata is None else spec.nodata
    for part in (IMAGES, MASKS):
        (files.folder / part).mkdir(parents=True)
    by_block = {one.block: one for one in chips}

    alone = threading.Lock()  # a mask is one open file, which threads may not share

    def work(block: Block, _: Executor) -> None:
        image, valid = scene.read(block)
        with alone:
            mask = mask_of(labels, block, valid)
        files.write(by_block[block], scene.grid, stored_values(image, valid, spec.dtype), nodata, mask)

    # Here and not in the threads, which share the filters of warnings.
    with warnings.catch_warnings(), progress(events, "chips", sum(map(_pixels, by_block))) as running:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        work_through(
            by_block, work, threads=1, done=lambda block: running.advance(_pixels(block)),
            under_way=available_cores(),
        )  # fmt: skip


def _pixels(block: Block) -> int:
    return block.height * block.width


def _read(scene: Scene, labels: LabelReader, block: Block) -> tuple[Any, Any, Any]:
    """Return the image of a block, its valid pixels, and its mask."""
    image, valid = scene.read(block)
    return image, valid, mask_of(labels, block, valid)


def _spread(chips: Sequence[Chip]) -> list[Chip]:
    """Return up to as many chips as a contact sheet holds, evenly."""
    count = min(len(chips), MOST)
    return [chips[place * len(chips) // count] for place in range(count)]
