"""Projects on data sets of image and mask pairs: found, split, trained, mapped and scored as they come."""

from __future__ import annotations

import itertools
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_sets import COLOURS, town, write_deepglobe, write_project, write_raster
from PIL import Image
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import (
    CrispmapError,
    CrispmapWarning,
    InputError,
    LabelError,
    ProjectError,
    SceneError,
    SchemaError,
)
from crispmap.metrics import ConfusionMatrix
from crispmap.project import inputs as inputs_module
from crispmap.project.file import Project, load_project
from crispmap.project.inputs import open_sources
from crispmap.project.pairs.facts import content_key, duplicates
from crispmap.project.pairs.find import Pair, find_pairs
from crispmap.project.pairs.split import ROLES, ground_cells, split_pairs
from crispmap.project.results import evaluate_project
from crispmap.project.run import predict_project, train_project
from crispmap.types import IGNORE

pytestmark = pytest.mark.usefixtures("one_thread")
SPLIT = "split: {validation: ['3'], test: ['1', '2']}"
REFINER = "refiner: {iterations: 1, max_steps: 2, batch: 2, patch_px: 16}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_deepglobe(tmp_path / "data", 6, [(96, 128), (80, 100)])
    return tmp_path


def roles_of(project: Project) -> dict[str, str]:
    return {one.name: "+".join(sorted(one.areas)) for one in project.scenes}


def test_a_data_set_is_carried_from_folder_to_figures(folder: Path) -> None:
    write_project(folder, SPLIT)
    train_project(folder)
    results = predict_project(folder)
    assert [one.paths[0].relative_to(folder) for one in results] == [Path(f"out/maps/{n}/coarse.tif") for n in (1, 2)]
    found = evaluate_project(folder)
    expected = ConfusionMatrix(("grass", "house", "water"))
    for number in (1, 2):
        with rasterio.open(folder / f"out/maps/{number}/coarse.tif") as file:
            ids = town(number, file.shape)[1]
            expected.update(file.read(1), np.where(ids == 3, IGNORE, ids).astype(np.uint8))
    np.testing.assert_array_equal(found.methods["coarse map"].confusion.counts, expected.counts)
    assert list(found.methods) == ["coarse map"]
    assert "Confusion matrix of the coarse map" in (folder / "out/report.html").read_text()
    facts = json.loads(CliRunner().invoke(app, ["info", "--json", str(folder)]).stdout)
    assert facts["data_set"]["layout"] == "deepglobe"
    assert facts["areas"] == {"coarse": 3, "validation": 1, "test": 2}
    assert facts["refiner"] is None


def test_a_refiner_learns_from_its_own_images(folder: Path) -> None:
    write_project(folder, "split: {validation: ['3'], test: ['1'], refiner: ['4']}", REFINER)
    train_project(folder)
    predict_project(folder)
    found = evaluate_project(folder)
    assert list(found.methods) == ["coarse map", "re-thresholded coarse map", "refined map"]


def test_read_on_demand_labels_and_images_are_those_that_are_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(folder, SPLIT)
    with open_sources(load_project(folder)) as sources:
        loaded = sources.pieces("coarse")
    monkeypatch.setattr(inputs_module, "MOST_LOADED_PX", 1)
    with open_sources(load_project(folder)) as sources:
        pieces = sources.pieces("coarse")
        assert len({one.digest for one in pieces}) == 3
        for one, other in zip(loaded, pieces, strict=True):
            np.testing.assert_array_equal(one.image.read(one.area.block)[0], other.image.read(other.area.block)[0])
            np.testing.assert_array_equal(one.read_labels(one.area.block), other.read_labels(other.area.block))
    train_project(folder)
    first = (folder / "out/coarse.safetensors").read_bytes()
    train_project(folder, force=True)
    assert (folder / "out/coarse.safetensors").read_bytes()[-4000:] == first[-4000:]


def test_the_network_may_work_at_another_pixel_size(folder: Path) -> None:
    path = write_project(folder, SPLIT)
    path.write_text(path.read_text().replace("kind: fcn-rnn,", "kind: fcn-rnn, gsd_m: 1.0,"))
    train_project(folder)
    predict_project(folder)
    assert evaluate_project(folder).methods["coarse map"].confusion.valid_px > 0


NAMES = st.integers(8, 60).map(lambda count: [f"i{number}" for number in range(count)])


@given(
    names=NAMES, seed=st.integers(0, 2**32 - 1), test=st.floats(0.05, 0.4), validation=st.floats(0.05, 0.4),
    joined=st.lists(st.lists(st.integers(0, 7), min_size=2, max_size=3), max_size=2),
)  # fmt: skip
@settings(deadline=None)
def test_a_split_gives_every_image_one_role_and_keeps_ground_together(names, seed, test, validation, joined) -> None:
    pairs = [Pair(name, name, Path(name), Path("mask"), "coarse") for name in names]
    together = [[names[index] for index in group] for group in joined]
    split = split_pairs(pairs, {"test": test, "validation": validation}, together, seed)
    assert split == split_pairs(pairs, {"test": test, "validation": validation}, together, seed)
    assert set(split.roles) == set(names)
    assert set(split.roles.values()) == {"coarse", "test", "validation"}
    for group in together:
        assert len({split.roles[name] for name in group}) == 1
    largest = max(1, len({name for group in together for name in group}))
    for role, share in (("test", test), ("validation", validation)):
        count, wanted = sum(one == role for one in split.roles.values()), max(1, round(share * len(names)))
        assert 1 <= count < wanted + largest
        assert count == wanted or together


@given(
    roles=st.lists(st.sampled_from(ROLES), min_size=3, max_size=12),
    pair=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_of_two_roles_of_one_ground_the_one_that_is_held_out_wins(roles, pair) -> None:
    names = [f"i{number}" for number in range(len(roles))]
    pairs = [Pair(name, name, Path(name), Path("mask"), role) for name, role in zip(names, roles, strict=True)]
    first, second = pair
    ranks = [ROLES.index(role) for role in roles]
    expected = [roles[index] for index in range(len(roles))]
    expected[first] = expected[second] = ROLES[min(ranks[first], ranks[second])]
    if "coarse" not in expected:
        return
    members = {
        "test": tuple(n for n, r in zip(names, roles, strict=True) if r == "test"),
        "refiner": (),
        "validation": (),
    }
    split = split_pairs(pairs, {}, [[names[first], names[second]]], 0)
    kept = [name for name, role in zip(names, expected, strict=True) if role != "coarse"]
    assert all(split.roles[name] == role for name, role in zip(names, expected, strict=True) if name in kept)
    assert len(split.moved) == (first != second and roles[first] != roles[second])
    assert members


@given(points=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=2, max_size=90))
def test_cells_on_the_ground_hold_neighbours(points) -> None:
    centres = {str(number): place for number, place in enumerate(points)}
    cells = ground_cells(centres)
    assert sorted(itertools.chain(*cells)) == sorted(centres)
    assert min(map(len, cells)) >= 2
    assert max(map(len, cells)) <= max(3, len(points) // 20)


def test_tens_of_thousands_of_images_are_split_at_once() -> None:
    pairs = [Pair(str(one), str(one), Path("image"), Path("mask"), "coarse") for one in range(40_000)]
    start = time.process_time()
    roles = list(split_pairs(pairs, {}, [], 0).roles.values())
    assert time.process_time() - start < 4  # seconds; where each draw looked at all of them, some 20
    assert (roles.count("test"), roles.count("validation")) == (8_000, 4_000)


def test_the_folders_of_a_set_are_its_roles(tmp_path: Path) -> None:
    for part, numbers in (("train", (1, 2, 3)), ("valid", (4,)), ("test", (5, 6))):
        for number in numbers:
            image, ids = town(number)
            write_raster(tmp_path / f"data/{part}/sat/{number}.tiff", image.transpose(2, 0, 1))
            colours = np.where((ids == 1)[..., None], (255, 0, 0), (0, 0, 0)).astype(np.uint8)
            write_raster(tmp_path / f"data/{part}/map/{number}.tif", colours.transpose(2, 0, 1))
    write_project(tmp_path)
    project = load_project(tmp_path)
    assert project.data_set is not None
    assert project.data_set.found.layout.name == "massachusetts"
    assert roles_of(project) == {
        "1": "coarse",
        "2": "coarse",
        "3": "coarse",
        "4": "validation",
        "5": "test",
        "6": "test",
    }
    with open_sources(project) as sources:
        (piece,) = sources.pieces("coarse validation")
        np.testing.assert_array_equal(piece.read_labels(piece.area.block), town(4)[1] == 1)
    write_project(tmp_path, "split: {test: ['1']}")  # whose own folder is then for training
    assert roles_of(load_project(tmp_path))["5"] == "coarse"


def inria(folder: Path, places: dict[str, tuple[float, float]]) -> None:
    for number, (name, place) in enumerate(places.items()):
        image, ids = town(number, (64, 64))
        write_raster(folder / f"data/train/images/{name}.tif", image.transpose(2, 0, 1), place)
        write_raster(folder / f"data/train/gt/{name}.tif", ((ids == 1) * 255).astype(np.uint8)[None], place)


def test_images_without_masks_are_mapped_and_georeference_is_kept(tmp_path: Path) -> None:
    inria(tmp_path, {f"town{n}": (5e5 + 64 * n, 5e6) for n in range(5)})
    write_raster(tmp_path / "data/test/images/far1.tif", town(9, (64, 64))[0].transpose(2, 0, 1), (6e5, 5e6))
    write_project(tmp_path)
    project = load_project(tmp_path)
    assert project.data_set is not None
    assert project.data_set.found.layout.name == "inria"
    assert sorted((one.areas and next(iter(one.areas))) or "none" for one in project.scenes) == [
        "coarse", "coarse", "coarse", "none", "test", "validation"
    ]  # fmt: skip
    assert [one.name for one in project.mapped if not one.areas] == ["far1"]
    with open_sources(project) as sources:
        assert sources.gsd_m == pytest.approx(1.0, rel=1e-3)  # that of the files, not that of the layout


def test_neighbours_on_the_ground_are_kept_in_one_role(tmp_path: Path) -> None:
    inria(tmp_path, {f"t{row}{col}": (5e5 + 64 * col, 5e6 - 64 * row) for row in range(6) for col in range(6)})
    write_project(tmp_path, "split: {by: ground, test: 0.25}")
    roles = roles_of(load_project(tmp_path))
    test = [name for name, role in roles.items() if role == "test"]
    neighbours = [abs(int(a[1]) - int(b[1])) + abs(int(a[2]) - int(b[2])) for a in test for b in test if a != b]
    assert 8 <= len(test) <= 12
    assert neighbours.count(1) >= len(test) / 2
    write_deepglobe(tmp_path / "data2", 3)
    write_project(tmp_path, "split: {by: ground, test: 0.25}")
    path = tmp_path / "project.yaml"
    path.write_text(path.read_text().replace("path: data,", "path: data2,"))
    with pytest.raises(ProjectError, match="coordinate reference system"):
        load_project(path)


def test_images_that_overlap_have_one_role_and_are_told_of(tmp_path: Path) -> None:
    inria(tmp_path, {"a": (5e5, 5e6), "b": (5e5 + 40, 5e6), "c": (5e5 + 200, 5e6), "d": (5e5 + 264, 5e6)})
    write_project(tmp_path, "split: {test: [a]}")
    with pytest.warns(CrispmapWarning) as told:
        roles = roles_of(load_project(tmp_path))
    assert roles == {"a": "test", "b": "test", "c": "coarse", "d": "coarse"}  # c and d only touch
    assert any("same ground: 1 image, such as b" in str(one.message) for one in told)


def test_an_image_that_is_there_twice_has_one_role_and_is_told_of(folder: Path) -> None:
    for kind in ("sat.jpg", "mask.png"):
        (folder / f"data/7_{kind}").write_bytes((folder / f"data/1_{kind}").read_bytes())
    write_project(folder, "split: {test: ['7']}")
    with pytest.warns(CrispmapWarning) as told:
        roles = roles_of(load_project(folder))
    assert roles["1"] == roles["7"] == "test"
    assert any("twice" in str(one.message) for one in told)


def test_parts_of_each_image_have_roles_with_a_gap_between(folder: Path) -> None:
    write_project(folder, "split: {by: within, test: 0.25, validation: 0.15, refiner: 0.2}")
    for one in load_project(folder).scenes:
        spans = sorted((areas[0].window[1], areas[0].window[1] + areas[0].window[3]) for areas in one.areas.values())
        assert len(spans) == 4
        assert all(after - before >= 2 for (_, before), (after, _) in itertools.pairwise(spans))
    with open_sources(load_project(folder)) as sources:
        assert {role: len(sources.pieces(role)) for role in ("coarse", "coarse validation", "test")} == {
            "coarse": 6, "coarse validation": 6, "test": 6
        }  # fmt: skip


def landcover(folder: Path) -> None:
    for name, shape in (("M-1", (1100, 1600)), ("M-2", (600, 520))):
        image, ids = town(len(name), shape)
        write_raster(folder / f"data/images/{name}.tif", image.transpose(2, 0, 1), (5e5, 5e6 if name == "M-1" else 6e6))
        write_raster(folder / f"data/masks/{name}.tif", np.where(ids == 3, 4, ids)[None].astype(np.uint8))
    (folder / "data/train.txt").write_text("M-1_0\nM-1_5\n\n")
    (folder / "data/val.txt").write_text("M-1_1\n")
    (folder / "data/test.txt").write_text("M-2_0\nM-1_6\n")


def test_lists_of_tiles_are_windows_of_their_images(tmp_path: Path) -> None:
    landcover(tmp_path)
    write_project(tmp_path, "", "classes: [{name: a, colour: '#000000'}, {name: b, colour: '#d7191c'}]\n")
    project = load_project(tmp_path)
    windows = {
        (one.name, role): [piece.window for piece in pieces]
        for one in project.scenes
        for role, pieces in one.areas.items()
    }
    assert windows == {
        ("M-1", "coarse"): [(0, 0, 512, 512), (512, 512, 512, 512)], ("M-1", "validation"): [(0, 512, 512, 512)],
        ("M-1", "test"): [(512, 1024, 512, 512)], ("M-2", "test"): [(0, 0, 512, 512)],
    }  # fmt: skip  # four tiles a row: the last is cut off, and counts


def test_patterns_over_several_folders(tmp_path: Path) -> None:
    for town_name in ("north", "south"):
        for number in (1, 2, 3):
            image, ids = town(number + len(town_name) + ord(town_name[0]))
            write_raster(tmp_path / f"data/{town_name}/img/{number}.tif", image.transpose(2, 0, 1))
            write_raster(
                tmp_path / f"data/{town_name}/lab/{number}_ids.tif", np.where(ids == 3, 255, ids)[None].astype(np.uint8)
            )
    patterns = "images: [north/img/*.tif, south/img/*.tif], masks: ['north/lab/{id}_ids.tif', 'south/lab/{id}_ids.tif']"
    classes = "classes: [{name: a, colour: '#111111'}, {name: b, colour: '#222222'}, {name: c, colour: '#333333'}]\n"
    write_project(tmp_path, f"layout: pairs, assume_gsd_m: 1, {patterns}, split: {{test: [north-img-1]}}", classes)
    project = load_project(tmp_path)
    assert sorted(one.name for one in project.scenes)[:2] == ["north-img-1", "north-img-2"]
    with open_sources(project) as sources:
        piece = sources.pieces("test")[0]
        ids = town(1 + 5 + ord("n"))[1]
        np.testing.assert_array_equal(piece.read_labels(piece.area.block), np.where(ids == 3, IGNORE, ids))
    write_project(tmp_path, f"layout: pairs, assume_gsd_m: 1, {patterns}, split: {{test: ['1']}}", classes)
    with pytest.raises(ProjectError, match="several images have"):
        load_project(tmp_path)


def test_parts_without_masks_are_mapped_and_the_rest_is_split(tmp_path: Path) -> None:
    write_deepglobe(tmp_path / "data/train", 10)
    for part, number in (("valid", 11), ("test", 12)):
        (tmp_path / f"data/{part}").mkdir()
        (tmp_path / f"data/{part}/{number}_sat.jpg").write_bytes(
            (tmp_path / "data/train/1_sat.jpg").read_bytes() + b" " * number
        )
    write_project(tmp_path)
    project = load_project(tmp_path)
    roles = roles_of(project)
    assert sorted(roles.values()) == ["", "", *["coarse"] * 7, "test", "test", "validation"]
    assert {one.name for one in project.mapped} == {name for name, role in roles.items() if role in ("", "test")}


@given(place=st.integers(0, 299_999), change=st.integers(1, 255))
def test_a_change_at_the_beginning_the_middle_or_the_end_of_a_file_changes_its_key(
    place, change, tmp_path_factory
) -> None:
    folder, content = tmp_path_factory.mktemp("key"), bytearray(300_000)
    (folder / "a").write_bytes(content)
    content[place] = change
    (folder / "b").write_bytes(content)
    seen = any(start <= place < start + 65536 for start in (0, 150_000 - 65536, 300_000 - 65536))
    assert (content_key(folder / "a") != content_key(folder / "b")) == seen
    pairs = [Pair(name, name, folder / name, None, "coarse") for name in ("a", "b")]
    assert duplicates(pairs) == []
    (folder / "b").write_bytes(bytes(300_000))
    assert duplicates(pairs) == [["a", "b"]]


def lone_mask(data: Path) -> None:
    (data / "3_sat.jpg").unlink()


def lone_image(data: Path) -> None:
    (data / "3_mask.png").unlink()


@pytest.mark.parametrize(
    ("change", "told", "left"), [(lone_mask, "1 mask without an image", 5), (lone_image, "1 image without a mask", 6)]
)
def test_what_has_no_partner_is_told_of(folder: Path, change, told: str, left: int) -> None:
    change(folder / "data")
    write_project(folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        project = load_project(folder)
    assert any(told in str(one.message) and "data/3_" in str(one.message) for one in caught)
    assert len(project.scenes) == left
    assert roles_of(project).get("3", "") == ""


def test_hidden_files_are_no_images(folder: Path) -> None:
    for kind in ("sat.jpg", "mask.png"):
        (folder / f"data/._1_{kind}").write_bytes(b"\0\5\x16\7")
    write_project(folder)
    assert set(roles_of(load_project(folder))) == set("123456")


def smaller_mask(data: Path) -> None:
    Image.fromarray(COLOURS[np.zeros((10, 20), int)]).save(data / "3_mask.png")


def grey_image(data: Path) -> None:
    Image.open(data / "3_sat.jpg").convert("L").save(data / "3_sat.jpg")


def no_image(data: Path) -> None:
    (data / "3_sat.jpg").write_bytes(b"no image")


def empty_mask(data: Path) -> None:
    (data / "3_mask.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "error", "offending"),
    [
        (smaller_mask, LabelError, "10 x 20"), (grey_image, SceneError, "1 band,"), (no_image, SceneError, "3_sat.jpg"),
        (empty_mask, LabelError, "3_mask.png"),
    ],
)  # fmt: skip
def test_pairs_that_do_not_fit_stop_or_are_skipped(folder: Path, change, error: type, offending: str) -> None:
    change(folder / "data")
    write_project(folder)
    with pytest.raises(error) as caught:
        load_project(folder)
    assert caught.value.given.startswith("1 of 6 pairs")
    assert offending in caught.value.given
    write_project(folder, "damaged: skip")
    with pytest.warns(CrispmapWarning, match="1 of 6 pairs"):
        project = load_project(folder)
    assert len(project.scenes) == 5


def test_an_image_that_is_cut_off_is_named_in_the_middle_of_a_training(folder: Path) -> None:
    image = folder / "data/5_sat.jpg"
    image.write_bytes(image.read_bytes()[:1500])
    write_project(folder, SPLIT)
    with pytest.raises(SceneError, match="5_sat"):
        train_project(folder)
    write_project(folder, f"damaged: skip, {SPLIT}")
    with pytest.warns(CrispmapWarning, match="5_sat"):
        train_project(folder)


@pytest.mark.parametrize(
    ("text", "offending"),
    [
        ("name,r,g\na,0,0\n", "no column b"),
        ("", "no column name"),
        ("name,r,g,b\na,0,0,x\n", "line 2"),
        ("name,r,g,b\na,0,0,0\nb,0,0,256\n", "line 3"),
        ("name,r,g,b\na,0,0,0\nb,0,0\n", "line 3"),
        ("name,r,g,b\na,0,0,0\nA,0,0,1\n", "comes twice"),
        ("name,r,g,b\na,1,2,3\nb,1,2,3\n", "comes twice"),
        ("name,r,g,b\na,1,2,3\n", "1 class"),
        ("name,r,g,b\na,1,2,3\nunknown,4,5,6\n", "1 class"),
    ],
)
def test_class_files_that_are_wrong(folder: Path, text: str, offending: str) -> None:
    (folder / "data/class_dict.csv").write_text(text)
    write_project(folder)
    with pytest.raises(SchemaError) as caught:
        load_project(folder)
    assert offending in caught.value.given


@pytest.mark.parametrize(
    ("more", "error", "offending"),
    [
        ("split: {test: ['9']}", ProjectError, "'9'"),
        ("split: {test: ['1'], validation: ['1']}", ProjectError, "both name '1'"),
        ("split: {test: ['1', '2', '3', '4', '5', '6']}", ProjectError, "without an image"),
        ("split: {test: 1.5}", ProjectError, "split.test is 1.5"),
        ("split: {test: 0.4, validation: 0.4, refiner: 0.4}", ProjectError, "coarse"),
        ("split: {test: lost.txt}", ProjectError, "lost.txt"),
        ("split: {tset: 0.1}", ProjectError, "tset"),
        ("layout: deepglob", ProjectError, "deepglob"),
        ("layout: inria", InputError, "no image with a mask"),
        ("layout: pairs", ProjectError, "0 patterns"),
        ("layout: pairs, images: '*_sat.jpg', masks: mask.png", ProjectError, "mask.png"),
        ("layout: pairs, images: a_sat.jpg, masks: '{id}.png'", ProjectError, "a_sat.jpg"),
        ("layout: pairs, images: ['*.jpg', '*.png'], masks: '{id}_mask.png'", ProjectError, "2 patterns"),
        ("layout: deepglobe, images: '*_sat.jpg', masks: '{id}_mask.png'", ProjectError, "patterns beside"),
        ("unknown: maybe", ProjectError, "maybe"),
        ("tolerance: 300", ProjectError, "300"),
        ("ignored: [black]", ProjectError, "black"),
        ("split: {by: within, test: ['1']}", ProjectError, "within"),
    ],
)
def test_data_set_sections_that_are_wrong(folder: Path, more: str, error: type, offending: str) -> None:
    write_project(folder, more)
    with pytest.raises(error) as caught:
        load_project(folder)
    assert offending in caught.value.given


@pytest.mark.parametrize(
    ("extra", "offending"),
    [
        ("scene: {path: data/1_sat.jpg}\n", "scene is given beside dataset"),
        ("labels: {path: data/1_mask.png}\n", "labels is given"),
        ("areas: {test: [{window: [0, 0, 4, 4]}]}\n", "areas are given"),
        (REFINER, "refiner is given, but no image"),
        ("classes: [{name: a, colour: '#000000'}]\n", "1 class"),
    ],
)
def test_keys_that_a_data_set_takes_the_place_of(folder: Path, extra: str, offending: str) -> None:
    write_project(folder, "", extra)
    with pytest.raises(CrispmapError) as caught:
        load_project(folder)
    assert offending in caught.value.given


def test_folders_without_pairs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_pairs(tmp_path / "none", None)
    with pytest.raises(InputError, match="no image with a mask"):
        find_pairs(tmp_path, None)


def test_two_images_of_one_id(folder: Path) -> None:
    (folder / "data/01.png").write_bytes(b"")
    for suffix in ("tif", "tiff"):
        (folder / "data/sat").mkdir(exist_ok=True)
        write_raster(folder / f"data/sat/9.{suffix}", np.zeros((3, 8, 8), np.uint8))
    write_raster(folder / "data/map/9.tif", np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(InputError, match="'9'"):
        find_pairs(folder / "data", "massachusetts")
    write_raster(folder / "data/map/9.tiff", np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(InputError, match="2 masks have the id '9'"):
        find_pairs(folder / "data", "massachusetts")


def test_one_class_alone_and_patches_larger_than_images_end_a_training(folder: Path) -> None:
    path = write_project(folder, SPLIT)
    path.write_text(path.read_text().replace("patch_px: 16", "patch_px: 96"))
    with pytest.raises(CrispmapError, match="96"):
        train_project(folder)
    for mask in (folder / "data").glob("*_mask.png"):
        ids = np.zeros(np.asarray(Image.open(mask)).shape[:2], int)
        Image.fromarray(COLOURS[ids]).save(mask)
    write_project(folder, SPLIT)
    with pytest.raises(LabelError, match="house"):
        train_project(folder)


def test_pixels_of_no_class_are_counted_or_end_a_training(folder: Path) -> None:
    for number in (4, 6):
        path = folder / f"data/{number}_mask.png"
        mask = np.array(Image.open(path))
        mask[40, 50:53] = (255, 0, 255)
        Image.fromarray(mask).save(path)
    write_project(folder, SPLIT)
    with pytest.warns(CrispmapWarning) as told:
        train_project(folder)
    messages = [str(one.message) for one in told]
    assert any("row 40, column 50" in one for one in messages)
    assert "6 pixels of no class were left out, in 2 masks." in messages
    write_project(folder, f"unknown: error, {SPLIT}")
    with pytest.raises(LabelError, match="row 40, column 50"):
        train_project(folder, force=True)


def test_lists_of_tiles_that_are_wrong(tmp_path: Path) -> None:
    landcover(tmp_path)
    write_project(tmp_path)
    for text, offending in (("M-1_3\n", "M-1_3"), ("M-9_1\n", "M-9_1"), ("M-1_0\n", "both name M-1_0")):
        (tmp_path / "data/test.txt").write_text(text)
        with pytest.raises(ProjectError, match=offending):
            load_project(tmp_path)


def test_lists_of_ids_that_several_images_have(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("a", "b" if part == "train" else "c"):
            image, ids = town(ord(name) + len(part))
            write_raster(tmp_path / f"data/{part}/images/{name}.tif", image.transpose(2, 0, 1))
            write_raster(tmp_path / f"data/{part}/masks/{name}.tif", np.minimum(ids, 2)[None])
    write_project(tmp_path, "layout: landcover-ai")
    (tmp_path / "data/val.txt").write_text("c\n")
    for text in ("a\n", "a_0\n"):
        (tmp_path / "data/train.txt").write_text(text)
        with pytest.raises(ProjectError, match=f"several; the first: train.txt: {text.strip()}"):
            load_project(tmp_path)
    (tmp_path / "data/train.txt").write_text("train-images-a\nb\n")
    roles = roles_of(load_project(tmp_path))
    assert roles == {"train-images-a": "coarse", "b": "coarse", "c": "validation", "val-images-a": ""}
