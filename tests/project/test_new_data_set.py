"""New projects on data sets: recognised, looked through, and complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pair_sets import COLOURS, town, write_deepglobe, write_raster
from PIL import Image
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import CrispmapError, CrispmapWarning, GeoreferenceWarning, InputError, OutputError
from crispmap.project.file import load_project
from crispmap.project.inputs import open_sources
from crispmap.project.new import create_data_set_project
from crispmap.project.run import train_project

pytestmark = pytest.mark.usefixtures("one_thread")


def quick(path: Path) -> Path:
    """Make the training of a project one of a few steps."""
    text = path.read_text()
    assert "  preset: fast  #" in text
    path.write_text(
        text.replace("  preset: fast  #", "  max_steps: 2\n  batch: 2\n  patch_px: 32\n  preset: fast  #", 1)
    )
    return path


def invoked(*args: object) -> str:
    result = CliRunner().invoke(app, ["init", *map(str, args)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize(("count", "by"), [(4, "within"), (12, "file")])
def test_the_file_trains_as_it_is(tmp_path: Path, count: int, by: str) -> None:
    write_deepglobe(tmp_path / "data", count, [(96, 260)])
    for number in range(1, count + 1):  # every class everywhere
        _, ids = town(number, (96, 260))
        ids[20:24], ids[40:44] = 1, 2
        Image.fromarray(COLOURS[ids]).save(tmp_path / f"data/{number}_mask.png")
    output = invoked(tmp_path / "new", "--dataset", tmp_path / "data")
    assert "deepglobe" in output
    assert f"{count} images" in output
    path = quick(tmp_path / "new/project.yaml")
    project = load_project(path)
    assert project.data_set is not None
    assert project.data_set.section.split.by == by
    assert project.schema.names == ("grass", "house", "water")
    train_project(path)


def test_shares_are_those_of_the_masks_and_oddities_are_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_deepglobe(data, 6)
    (data / "class_dict.csv").write_text((data / "class_dict.csv").read_text() + "ice,255,255,255\n")
    (data / "6_mask.png").unlink()
    Image.fromarray(COLOURS[np.zeros((5, 5), int)]).save(data / "9_mask.png")
    Image.fromarray(COLOURS[np.zeros((5, 5), int)]).save(data / "5_mask.png")
    odd = COLOURS[town(4)[1]]
    odd[50:52, 3:6] = (255, 255, 10), (255, 0, 255), (90, 90, 90)
    Image.fromarray(odd).save(data / "4_mask.png")
    with pytest.warns(CrispmapWarning) as told:
        made = create_data_set_project(tmp_path / "new", data)
    warned = " ".join(str(one.message) for one in told)
    assert "9_mask.png" in warned
    assert "1 of 6 pairs" in warned
    notes = " ".join(made.notes)
    assert "No pixel of ice" in notes
    assert "6_sat.jpg" in warned
    assert "4 pixels of no class in 1 mask" in notes  # dark grey is nearest to what is ignored
    ids = np.stack([np.where(town(n)[1] == 3, 99, town(n)[1]) for n in (1, 2, 3, 4)])
    ids[3, 50:52, 3:6] = 99
    counts = np.bincount(ids.ravel(), minlength=100)[:3]
    assert [made.shares[name] for name in ("grass", "house", "water")] == pytest.approx(counts / counts.sum())
    with pytest.warns(CrispmapWarning):
        project = load_project(made.path)
    assert project.schema.names == ("grass", "house", "water")
    assert project.data_set is not None
    assert project.data_set.ignored == ["#000000"]


def test_masks_of_ids_in_folders_of_any_name(tmp_path: Path) -> None:
    for number in range(3):
        image, ids = town(number)
        write_raster(tmp_path / f"data/photo/p{number}.png", image.transpose(2, 0, 1))
        write_raster(tmp_path / f"data/lab/p{number}_l.png", np.where(ids == 3, 255, ids)[None].astype(np.uint8))
    arguments = (
        tmp_path / "new",
        "--dataset",
        tmp_path / "data",
        "--images",
        "photo/*.png",
        "--masks",
        "lab/{id}_l.png",
    )
    invoked(*arguments, "--classes", "grass,house,water")
    project = load_project(tmp_path / "new")
    assert project.schema.names == ("grass", "house", "water")
    assert [one.name for one in project.scenes] == ["p0", "p1", "p2"]
    with pytest.raises(CrispmapError, match="2 names"):
        create_data_set_project(
            tmp_path / "other", tmp_path / "data", [("photo/*.png", "lab/{id}_l.png")], classes=["a", "b"]
        )


def test_folders_of_a_set_are_kept_and_not_split(tmp_path: Path) -> None:
    for part, number in (("train", 1), ("train", 2), ("valid", 3), ("test", 4)):
        image, ids = town(number)
        write_raster(tmp_path / f"data/{part}/sat/{number}.tiff", image.transpose(2, 0, 1))
        write_raster(tmp_path / f"data/{part}/map/{number}.tif", ((ids == 1) * 255)[None].astype(np.uint8))
    made = create_data_set_project(tmp_path / "new", tmp_path / "data", classes=["nothing", "house"])
    roles = {one.name: set(one.areas) for one in load_project(made.path).scenes}
    assert roles == {"1": {"coarse"}, "2": {"coarse"}, "3": {"validation"}, "4": {"test"}}
    with pytest.raises(OutputError):
        create_data_set_project(tmp_path / "new", tmp_path / "data")


@pytest.mark.parametrize(
    "more",
    [["--images", "*.png"], ["--scene", "scene.tif"], ["--images", "a.png", "--masks", "{id}.png"]],
)
def test_options_that_do_not_go_together(tmp_path: Path, more: list[str]) -> None:
    write_deepglobe(tmp_path / "data", 2)
    result = CliRunner().invoke(app, ["init", str(tmp_path), "--dataset", str(tmp_path / "data"), *more])
    assert result.exit_code == 2
    with pytest.raises(InputError):
        create_data_set_project(tmp_path / "new", tmp_path / "data", [("a.png", "{id}.png")])


@pytest.mark.parametrize("found", [(0, 1, 3, 4), (0, 1, 3), (1, 2)])
def test_masks_of_ids_mean_what_they_meant_where_a_class_has_no_pixel(tmp_path: Path, found: tuple[int, ...]) -> None:
    for number in range(3):
        image, ids = town(number)
        write_raster(tmp_path / f"data/images/{number}.tif", image.transpose(2, 0, 1))
        write_raster(
            tmp_path / f"data/masks/{number}.tif", np.array([*found, 4, 4])[ids % len(found)][None].astype("u1")
        )
    made = create_data_set_project(tmp_path / "new", tmp_path / "data")
    names = ("background", "building", "woodland", "water", "road")[: max(found) + 1]
    project = load_project(made.path)
    assert project.schema.names == names
    assert sum("keeps its place" in note for note in made.notes) == len(names) - len(found)
    with open_sources(project) as sources:
        for piece in sources.pieces("coarse"):
            assert set(np.unique(piece.read_labels(piece.area.block))) <= set(found)


@pytest.mark.parametrize("palette", [False, True])
def test_classes_without_a_pixel_are_left_out_of_masks_of_colours(tmp_path: Path, palette: bool) -> None:
    write_deepglobe(tmp_path / "data", 3)
    (tmp_path / "data/class_dict.csv").write_text(
        "name,r,g,b\ngrass,0,255,0\nice,9,9,200\nhouse,255,0,0\nwater,0,0,255\n"
    )
    for number in range(1, 4):
        mask = Image.fromarray(COLOURS[np.minimum(town(number)[1], 2)])
        (mask.quantize() if palette else mask).save(tmp_path / f"data/{number}_mask.png")
    made = create_data_set_project(tmp_path / "new", tmp_path / "data")
    assert load_project(made.path).schema.names == ("grass", "house", "water")


def test_few_images_of_one_ground_are_not_split_within(tmp_path: Path) -> None:
    write_deepglobe(tmp_path / "data", 4)
    for kind in ("sat.jpg", "mask.png"):
        (tmp_path / f"data/7_{kind}").write_bytes((tmp_path / f"data/1_{kind}").read_bytes())
    with pytest.warns(CrispmapWarning, match="same file twice"):
        made = create_data_set_project(tmp_path / "new", tmp_path / "data")
    with pytest.warns(CrispmapWarning, match="same file twice"):
        roles = {one.name: set(one.areas) for one in load_project(made.path).scenes}
    assert roles["1"] == roles["7"]
    assert set.union(*roles.values()) == {"coarse", "validation", "test"}


def test_lists_of_a_set_are_kept_where_every_image_has_one_role(tmp_path: Path) -> None:
    for number in range(8):
        image, ids = town(number)
        write_raster(tmp_path / f"data/images/{number}.tif", image.transpose(2, 0, 1))
        write_raster(tmp_path / f"data/masks/{number}.tif", ids[None])
    lists = {"train": (0, 1, 2), "val": (3, 4), "test": (5, 6, 7)}
    for name, members in lists.items():
        (tmp_path / f"data/{name}.txt").write_text("".join(f"{one}\n" for one in members))
    made = create_data_set_project(tmp_path / "new", tmp_path / "data")
    roles = {one.name: set(one.areas) for one in load_project(made.path).scenes}
    named = {"train": "coarse", "val": "validation", "test": "test"}
    assert roles == {str(one): {named[name]} for name, members in lists.items() for one in members}


def test_colours_that_a_class_file_calls_unknown_are_ignored_in_every_layout(tmp_path: Path) -> None:
    for number in range(3):
        image, ids = town(number)
        write_raster(tmp_path / f"data/photo/{number}.png", image.transpose(2, 0, 1))
        write_raster(tmp_path / f"data/lab/{number}.png", COLOURS[ids].transpose(2, 0, 1))
    rows = ("grass,0,255,0", "house,255,0,0", "water,0,0,255", "void,0,0,0")
    (tmp_path / "data/class_dict.csv").write_text("\n".join(["name,r,g,b", *rows]))
    for names in (None, ["a", "b", "c"]):
        patterns = [("photo/*.png", "lab/{id}.png")]
        with pytest.warns(GeoreferenceWarning):
            made = create_data_set_project(tmp_path / "new", tmp_path / "data", patterns, classes=names, force=True)
        assert not any("no class" in note for note in made.notes)
        data_set = load_project(made.path).data_set
        assert data_set is not None
        assert data_set.ignored == ["#000000"]


def test_images_too_small_to_be_split_within_are_split_by_file(tmp_path: Path) -> None:
    write_deepglobe(tmp_path / "data", 5)
    for number in range(1, 6):
        for name, pixels in ((f"{number}_sat.jpg", town(number)[0]), (f"{number}_mask.png", COLOURS[town(number)[1]])):
            Image.fromarray(pixels[20:30, 60:70]).save(tmp_path / "data" / name)
    made = create_data_set_project(tmp_path / "new", tmp_path / "data")
    roles = [role for one in load_project(made.path).scenes for role in one.areas]
    assert sorted(roles) == ["coarse"] * 3 + ["test", "validation"]
