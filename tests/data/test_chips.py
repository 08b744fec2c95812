"""Chips: what is cut, dropped, split, balanced and written, and that projects and other tools read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning

import crispmap
from crispmap.classes import ClassDef, ClassSchema
from crispmap.data.chips.cut import ChipCut
from crispmap.data.chips.run import WrittenChips
from crispmap.data.chips.split import ChipSplit, split_chips
from crispmap.data.chips.survey import Chip, balanced
from crispmap.errors import (
    CrispmapWarning,
    GeoreferenceWarning,
    InputError,
    LabelError,
    OutputError,
    SceneError,
    SchemaError,
)
from crispmap.geo.grid import Block, Grid
from crispmap.project.file.dataset_section import DatasetSection
from crispmap.project.pairs.expand import open_data_set
from crispmap.raster.scene import read_whole
from crispmap.types import IGNORE

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["ground", "house", "water"]
SCHEMA = ClassSchema(
    tuple(ClassDef(name, colour) for name, colour in zip(NAMES, ("#000000", "#ff0000", "#0000ff"), strict=True))
)
GRID = Grid(CRS.from_epsg(32631), Affine(2.0, 0, 500_000, 0, -2.0, 5_000_000), (96, 160))


def truth() -> tuple[Any, Any]:
    """An image of three 8-bit bands with a hole, and its mask with an unknown corner."""
    rng = np.random.default_rng(0)
    image = rng.integers(1, 255, (3, *GRID.shape), np.uint8)
    image[:, 40:64, 40:64] = 0
    mask = np.zeros(GRID.shape, np.uint8)
    mask[::3, ::2] = 1
    mask[70:, 120:] = 2
    mask[:10, :10] = IGNORE
    return image, mask


def write(path: Path, values: Any, nodata: int, grid: Grid = GRID, dtype: str = "uint8") -> Path:
    profile = {"count": len(values), "height": values.shape[1], "width": values.shape[2], "nodata": nodata}
    place = {} if grid.crs is None else {"crs": grid.crs.to_wkt(), "transform": grid.transform}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", dtype=dtype, **profile, **place) as dataset:
            dataset.write(values.astype(dtype))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    image, mask = truth()
    return write(tmp_path / "town.tif", image, 0), write(tmp_path / "mask.tif", mask[None], 255)


def cut(files: tuple[Path, Path], out: Path, **choices: Any) -> WrittenChips:
    return crispmap.chips(files[0], files[1], out, classes=SCHEMA, **{"size_px": 32, "max_nodata": 1.0, **choices})


def values_of(path: Path) -> tuple[Any, float | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            return dataset.read(), dataset.nodata


# --- where chips lie ----------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.one_of(st.none(), st.integers(1, 50)))
@settings(deadline=None, max_examples=80)
def test_chips_are_all_whole_squares_at_the_stride(height: int, width: int, size: int, stride: int | None) -> None:
    assume(size <= min(height, width))
    grid, plan = Grid(None, Affine.identity(), (height, width)), ChipCut(size, stride)
    blocks = plan.blocks(grid)
    step = stride or size
    expected = [
        Block(row, col, size, size)
        for row in range(0, height, step) for col in range(0, width, step)
        if row + size <= height and col + size <= width
    ]  # fmt: skip
    assert blocks == expected
    if step <= size:
        covered = np.zeros(grid.shape, bool)
        for block in blocks:
            covered[block.slices] = True
        assert plan.beyond(grid) == (~covered).sum()


@pytest.mark.parametrize(("size", "stride"), [(0, None), (-3, 4), (8, 0), (8, -1), (97, None), (161, 4)])
def test_sizes_and_strides_that_cannot_be_are_refused(size: int, stride: int | None) -> None:
    with pytest.raises(InputError):
        ChipCut(size, stride).blocks(GRID)


# --- what is written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tif", "png"])
@pytest.mark.parametrize("stride", [None, 20])
def test_chips_are_the_pixels_of_image_and_mask(form: str, stride: int | None, files: Any, tmp_path: Path) -> None:
    choices = {"validation": 0.2, "split_block_px": 32} if form == "png" else {}
    made = cut(files, tmp_path / "chips", format=form, stride_px=stride, **choices)
    image, mask = truth()
    mask = np.where((image == 0).all(axis=0), IGNORE, mask)
    table = gpd.read_parquet(tmp_path / "chips" / "manifest.parquet")
    assert len(table) == len(made.chips) == len(list((tmp_path / "chips" / "images").iterdir()))
    for row in table.itertuples():
        here = np.s_[..., row.row : row.row + 32, row.col : row.col + 32]
        found, nodata = values_of(tmp_path / "chips" / row.image)
        np.testing.assert_array_equal(found, image[here])
        assert nodata == 0
        ids, gap = values_of(tmp_path / "chips" / row.mask)
        np.testing.assert_array_equal(ids[0], mask[here])
        assert gap == IGNORE
        known = mask[here] != IGNORE
        assert row.nodata == pytest.approx(1 - known.mean())
        for index, name in enumerate(NAMES):
            assert getattr(row, f"share_{name}") == pytest.approx((mask[here] == index).sum() / known.sum())
        assert row.geometry.bounds == GRID.window(Block(row.row, row.col, 32, 32)).bounds
    assert table.crs.to_epsg() == 32631


def test_a_geotiff_lies_where_the_scene_does_and_shows_its_classes(files: Any, tmp_path: Path) -> None:
    cut(files, tmp_path / "chips")
    with rasterio.open(tmp_path / "chips" / "masks" / "town_r000032_c000064.tif") as dataset:
        assert dataset.transform == GRID.window(Block(32, 64, 32, 32)).transform
        assert dataset.crs.to_epsg() == 32631
        assert dataset.colormap(1)[1][:3] == (255, 0, 0)


@pytest.mark.parametrize(("dtype", "kind"), [("uint16", "uint16"), ("int16", "int16"), ("float32", "float32")])
def test_values_of_other_types_stay(dtype: str, kind: str, files: Any, tmp_path: Path) -> None:
    image = truth()[0].astype(np.float32) * (1.5 if kind == "float32" else 100)
    scene = write(tmp_path / "town.tif", image, 0, dtype=dtype)
    cut((scene, files[1]), tmp_path / "chips")
    found, _ = values_of(tmp_path / "chips" / "images" / "town_r000000_c000032.tif")
    assert found.dtype == kind
    np.testing.assert_array_equal(found, image[:, :32, 32:64].astype(kind))


def test_a_contact_sheet_shows_images_beside_masks(files: Any, tmp_path: Path) -> None:
    made = cut(files, tmp_path / "chips")
    with Image.open(tmp_path / "chips" / "contact_sheet.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20)}
        assert sheet.size[0] > 2 * 32
    assert len(made.chips) == 15
    assert {(255, 0, 0), (0, 0, 255)} <= colours


def test_what_is_not_written_is_counted_by_reason(files: Any, tmp_path: Path) -> None:
    made = cut(files, tmp_path / "chips", size_px=24, max_nodata=0.2)
    facts = json.loads((tmp_path / "chips" / "chips.json").read_text())
    assert facts == made.to_dict()
    assert facts["chips"] + sum(facts["dropped"].values()) == (96 // 24) * (160 // 24)
    assert facts["dropped"]["nodata"] >= 1
    assert facts["pixels_in_no_chip"] == 96 * (160 - 144)
    assert all(one.missing <= 0.2 for one in made.chips)


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({"size_px": 200}, InputError), ({"stride_px": 0}, InputError), ({"max_nodata": 1.5}, InputError),
        ({"max_nodata": -0.1}, InputError), ({"validation": 1.0}, InputError), ({"test": -0.1}, InputError),
        ({"test": 0.6, "validation": 0.5}, InputError), ({"test": 0.2, "buffer_m": -1.0}, InputError),
        ({"test": 0.2, "buffer_m": float("nan")}, InputError), ({"test": 0.2, "split_block_px": 0}, InputError),
        ({"test": 0.2, "split_block_px": 400}, InputError),
        ({"test": 0.2, "buffer_m": 400.0, "split_block_px": 32}, InputError),
        ({"balance": ["tree"]}, SchemaError), ({"format": "jpg"}, InputError),
    ],
)  # fmt: skip
def test_choices_that_cannot_be_are_refused_and_leave_nothing(
    choices: Any, error: type[Exception], files: Any, tmp_path: Path
) -> None:
    with pytest.raises(error):
        cut(files, tmp_path / "chips", **choices)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.tif", "town.tif"]


def test_chips_that_are_all_dropped_are_an_error_that_says_why(files: Any, tmp_path: Path) -> None:
    image, mask = truth()
    nothing = write(tmp_path / "town.tif", np.zeros_like(image), 0)
    with pytest.raises(SceneError, match=r"All 15 chips .* 15 with too many pixels without data"):
        cut((nothing, files[1]), tmp_path / "chips")
    unknown = write(tmp_path / "mask.tif", np.full_like(mask, 255)[None], 255)
    with pytest.raises((SceneError, LabelError)):
        cut((write(tmp_path / "town.tif", image, 0), unknown), tmp_path / "chips")


def test_a_class_that_no_chip_shows_cannot_be_balanced(files: Any, tmp_path: Path) -> None:
    _, mask = truth()
    write(files[1], np.where(mask == 2, 0, mask)[None], 255)
    with pytest.raises(LabelError, match="water"):
        cut(files, tmp_path / "chips", balance=["water"])


def test_a_mask_of_another_size_is_refused(files: Any, tmp_path: Path) -> None:
    image, mask = truth()
    bare = Grid(None, Affine.identity(), GRID.shape)
    scene = write(tmp_path / "plain.tif", image, 0, bare)
    small = write(tmp_path / "small.tif", mask[None, :90], 255, bare)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeoreferenceWarning)
        with pytest.raises(LabelError, match="shape"):
            cut((scene, small), tmp_path / "chips")


def test_png_refuses_bands_it_cannot_hold(files: Any, tmp_path: Path) -> None:
    image, _ = truth()
    four = write(tmp_path / "four.tif", np.concatenate([image, image[:1]]), 0, dtype="uint16")
    real = write(tmp_path / "real.tif", image, 0, dtype="float32")
    for scene in (four, real):
        with pytest.raises(InputError, match="PNG"):
            cut((scene, files[1]), tmp_path / "chips", format="png")


def test_only_a_folder_of_chips_is_replaced(files: Any, tmp_path: Path) -> None:
    out = tmp_path / "chips"
    cut(files, out)
    with pytest.raises(OutputError, match="exists"):
        cut(files, out)
    cut(files, out, size_px=48, force=True)
    assert len(list((out / "images").iterdir())) == 6
    (out / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"notes\.txt"):
        cut(files, out, force=True)
    assert len(list((out / "images").iterdir())) == 6
    with pytest.raises(OutputError):
        cut(files, tmp_path / "missing" / "chips")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        cut(files, tmp_path / "file", force=True)


def test_overlapping_chips_without_coordinates_are_warned_of(files: Any, tmp_path: Path) -> None:
    with pytest.warns(CrispmapWarning, match="overlap"):
        cut(files, tmp_path / "chips", format="png", stride_px=16)


# --- the split ----------------------------------------------------------------------------------------------


def chips_at(blocks: list[Block], classes: int = 2) -> list[Chip]:
    rng = np.random.default_rng(0)
    return [Chip(block, rng.multinomial(block.height * block.width, np.full(classes, 1 / classes))) for block in blocks]


@given(
    size=st.integers(4, 20), stride=st.integers(5, 24), side=st.integers(16, 70), buffer=st.floats(0, 40),
    seed=st.integers(0, 99), shares=st.sampled_from([(0.2, 0.2), (0.0, 0.3), (0.1, 0.0)]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_chips_of_different_roles_are_the_buffer_apart(
    size: int, stride: int, side: int, buffer: float, seed: int, shares: tuple[float, float]
) -> None:
    grid = Grid(None, Affine.scale(2.0, -2.0), (150, 190))
    chips = chips_at(ChipCut(size, stride).blocks(grid))
    try:
        split = split_chips(chips, grid, ChipSplit(*shares, buffer, side, seed))
    except InputError:
        assume(False)
    assert [one.block for one in split] == [one.block for one in chips]
    kept = [one for one in split if not one.dropped]
    assert all(one.dropped in ("", "buffer") for one in split)
    assert {one.role for one in kept} == {"train"} | {
        n for n, s in zip(("validation", "test"), shares, strict=True) if s
    }
    boxes = np.array([[one.block.row, one.block.row_stop, one.block.col, one.block.col_stop] for one in kept])
    roles = np.array([one.role for one in kept])
    for role in set(roles):
        mine, other = boxes[roles == role], boxes[roles != role]
        down = np.maximum(mine[:, None, 0] - other[None, :, 1], other[None, :, 0] - mine[:, None, 1])
        across = np.maximum(mine[:, None, 2] - other[None, :, 3], other[None, :, 2] - mine[:, None, 3])
        assert np.maximum(down, across).min() * 2.0 >= buffer - 1e-6


def test_shares_are_about_those_asked_for_and_a_seed_gives_another_split() -> None:
    grid = Grid(None, Affine.identity(), (800, 800))
    chips = chips_at(ChipCut(20).blocks(grid))
    first, second = (split_chips(chips, grid, ChipSplit(0.1, 0.2, seed=seed)) for seed in (0, 1))
    for role, share in (("validation", 0.1), ("test", 0.2)):
        assert np.mean([one.role == role for one in first]) == pytest.approx(share, abs=0.03)
    assert [one.role for one in first] != [one.role for one in second]
    assert first[0].role == split_chips(chips, grid, ChipSplit(0.1, 0.2))[0].role


# --- balance ------------------------------------------------------------------------------------------------


@given(st.integers(0, 99), st.integers(1, 60))
@settings(deadline=None, max_examples=40)
def test_no_group_of_classes_has_more_training_chips_than_the_rarest(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    chips = [
        Chip(Block(0, 10 * place, 10, 10), pixels, role="test" if place % 5 == 4 else "train")
        for place, pixels in enumerate(rng.multinomial(100, [1.0, 0.0, 0.0], count))
    ]
    for place in range(0, count, 2):
        chips[place] = Chip(chips[place].block, np.array([60, 40, 0]), chips[place].role)
    chips[0] = Chip(chips[0].block, np.array([50, 0, 50]))
    if not any(one.pixels[1] and one.role == "train" for one in chips):
        return
    found = balanced(chips, SCHEMA, ["house", "water"], seed)
    kept = [one for one in found if not one.dropped]
    assert [one for one in kept if one.role == "test"] == [one for one in chips if one.role == "test"]
    train = [one for one in kept if one.role == "train"]
    groups = [sum(one.pixels[2] > 0 for one in train), sum(one.pixels[1] > 0 for one in train)]
    assert groups[0] == groups[1] == 1
    assert sum(not one.pixels[1:].any() for one in train) <= 1
    assert {one.dropped for one in found} <= {"", "balance"}


# --- read back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tif", "png"])
def test_a_project_reads_them_back(form: str, files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cut(files, tmp_path / "chips", format=form, test=0.3, validation=0.2, split_block_px=32, max_nodata=0.5)
    monkeypatch.chdir(tmp_path / "chips")
    section = yaml.safe_load(Path("dataset.yaml").read_text(encoding="utf-8"))["dataset"]
    data = open_data_set(DatasetSection.model_validate(section), None, 0)
    assert data.schema.names == SCHEMA.names
    roles = {name: next(iter(areas)).replace("coarse", "train") for name, areas in data.areas.items()}
    table = gpd.read_parquet("manifest.parquet").set_index("id")
    assert roles == table["split"].to_dict()
    assert set(roles.values()) == {"train", "validation", "test"}
    image, mask = truth()
    mask = np.where((image == 0).all(axis=0), IGNORE, mask)
    for pair in data.pairs:
        row = table.loc[pair.name]
        here = np.s_[..., row["row"] : row["row"] + 32, row["col"] : row["col"] + 32]
        labels = data.open_mask(pair.mask, pair.name)
        np.testing.assert_array_equal(labels.read(labels.grid.block), mask[here])
        with data.open_image(data.ref_of(pair.image)) as scene:
            found, valid = read_whole(scene)
            assert scene.grid.gsd_m()[0] == pytest.approx(GRID.gsd_m()[0], rel=1e-3)
        np.testing.assert_array_equal(found, image[here])
        np.testing.assert_array_equal(valid, (image[here] != 0).any(axis=0))
    assert len(data.pairs) == len(made.chips)


TORCHGEO = """
import sys
from pathlib import Path
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import GridGeoSampler

class Masks(RasterDataset):
    is_image = False

folder = Path(sys.argv[1])
data = RasterDataset(str(folder / "images")) & Masks(str(folder / "masks"))
loader = DataLoader(data, sampler=GridGeoSampler(data, size=32, stride=32), collate_fn=stack_samples)
total = sum(int(one["image"].sum()) for one in loader), sum(int((one["mask"] == 1).sum()) for one in loader)
print(len(data), *total)
"""


def test_torchgeo_reads_them(files: Any, tmp_path: Path) -> None:
    """Tested where TorchGeo is: in the peers' environment, ``make benchmarks/peers/.venv/.installed``."""
    peers = ROOT / "benchmarks" / "peers" / ".venv" / "bin" / "python"
    python = peers if peers.exists() else Path(sys.executable)
    code = "import torchgeo.datasets"
    if subprocess.run([python, "-W", "ignore", "-c", code], capture_output=True, check=False).returncode:
        pytest.skip("TorchGeo is not installed")
    cut(files, tmp_path / "chips")
    command = [python, "-W", "ignore", "-c", TORCHGEO, tmp_path / "chips"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    image, mask = truth()
    mask = np.where((image == 0).all(axis=0), IGNORE, mask)
    assert [int(word) for word in done.stdout.split()] == [15, int(image.sum(dtype=np.int64)), int((mask == 1).sum())]
