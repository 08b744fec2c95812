"""Bad input at the command line: told with what was given, expected and to be done, and nothing left behind.

Ground that is merely small, or full of holes, is no bad input.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from safetensors import safe_open
from safetensors.numpy import save_file
from small_place import (
    CRISPMAP,
    PLACE,
    PROJECT,
    SHAPE,
    contents,
    image,
    run,
    truth,
    write_models,
    write_raster,
    write_vectors,
)

from crispmap.training.checkpoint import load_tree
from crispmap.types import IGNORE

PREDICT = "predict scene.tif --model coarse.safetensors --refiner refiner.safetensors --out map.tif"
PREDICT_COARSE = "predict scene.tif --model coarse.safetensors --out map.tif"
REFINE = "refine scores.tif --kind logit --scene scene.tif --refiner refiner.safetensors --out map.tif"
RASTERIZE = "rasterize osm.gpkg --like scene.tif --out map.tif"
EVALUATE = "evaluate mask.tif --classes project.yaml --reference osm.gpkg"
TRAIN = "train project.yaml"

pytestmark = pytest.mark.usefixtures("one_thread")


def refused(command: str, *said: str) -> None:
    """Check that a command is refused as bad input, in full, and changes no file."""
    before = contents(Path())
    result = run(*command.split())
    message = result.stderr
    assert result.exit_code == 2, result.output
    assert contents(Path()) == before
    assert re.search(r"(?m)^error: \S", message), message
    assert re.search(r"(?m)^Expected: \S", message), message
    assert re.search(r"(?m)^Remedy: \S", message), message
    for one in said:
        assert re.search(one, message), message


def changed(old: str, new: str) -> None:
    """Change the project file."""
    assert old in PROJECT
    Path("project.yaml").write_text(PROJECT.replace(old, new))


def read(path: str) -> np.ndarray:
    with rasterio.open(path) as file:
        values: np.ndarray = file.read()
    return values


# --- scenes ---------------------------------------------------------------------------------------------------

ON_A_SCENE = [PREDICT, REFINE, RASTERIZE, TRAIN, "init fresh --scene scene.tif", "info scene.tif"]


@pytest.mark.parametrize("command", ON_A_SCENE)
def test_a_scene_that_is_not_there(place: Path, command: str) -> None:
    Path("scene.tif").unlink()
    refused(command, r"scene\.tif")


@pytest.mark.parametrize("command", ON_A_SCENE)
def test_a_scene_that_is_no_raster(place: Path, command: str) -> None:
    Path("scene.tif").write_text("no raster at all")
    refused(command, r"scene\.tif cannot be (opened|read) as a raster")


@pytest.mark.parametrize("command", [PREDICT, REFINE, TRAIN])
def test_a_scene_cut_short(place: Path, command: str) -> None:
    whole = Path("scene.tif").read_bytes()
    Path("scene.tif").write_bytes(whole[: len(whole) // 2])
    refused(command, r"scene\.tif cannot be read at rows")


@pytest.mark.parametrize("command", [PREDICT, REFINE, RASTERIZE])
def test_a_folder_for_a_scene(place: Path, command: str) -> None:
    Path("scene.tif").unlink()
    Path("scene.tif").mkdir()
    refused(command, r"scene\.tif is a folder")


@pytest.mark.parametrize("command", [PREDICT_COARSE, PREDICT, REFINE, TRAIN])
def test_a_scene_of_nodata_only(place: Path, command: str) -> None:
    write_raster(Path("scene.tif"), np.zeros((3, *SHAPE), np.uint8), nodata=0)
    refused(command, "no valid pixel")


@pytest.mark.parametrize("command", [PREDICT, REFINE])
@pytest.mark.parametrize("bands", [1, 2, 5])
def test_a_scene_of_other_bands_than_the_models(place: Path, command: str, bands: int) -> None:
    write_raster(Path("scene.tif"), image(bands))
    refused(command, f"{bands} band{'' if bands == 1 else 's'} ", "3", "bands")


@pytest.mark.parametrize("bands", ["4", "1,2,9", "x", "0", "1,,2"])
def test_bands_there_are_not(place: Path, bands: str) -> None:
    refused(f"{PREDICT} --bands {bands}", bands.rpartition(",")[2])


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (3, 300), (130, 70)])
@pytest.mark.parametrize("command", [PREDICT, f"{REFINE} --block 64"])
def test_a_scene_smaller_than_block_and_halo_is_mapped(place: Path, command: str, shape: tuple[int, int]) -> None:
    write_raster(Path("scene.tif"), image(3, shape))
    write_raster(Path("scores.tif"), np.random.default_rng(1).normal(0, 1, (3, *shape)).astype(np.float32))
    result = run(*command.split())
    assert result.exit_code == 0, result.output
    assert read("map.tif").shape == (1, *shape)
    assert read("map.tif").max() < 3


def test_holes_and_infinities_are_nodata_in_the_map(place: Path) -> None:
    values = image().astype(np.float32)
    values[0, 10:20, 10:20] = np.nan
    values[1, 30:35] = np.inf
    values[2, 40, 40] = -np.inf
    write_raster(Path("scene.tif"), values)
    holes = ~np.isfinite(values).all(axis=0)
    for command in (PREDICT, f"{REFINE} --force", f"{TRAIN} --stage coarse"):
        result = run(*command.split())
        assert result.exit_code == 0, result.output
        np.testing.assert_array_equal(read("map.tif")[0] == IGNORE, holes)


# --- labels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [RASTERIZE, TRAIN, EVALUATE])
def test_labels_that_are_not_there(place: Path, command: str) -> None:
    Path("osm.gpkg").unlink()
    refused(command, r"osm\.gpkg")


@pytest.mark.parametrize("command", [RASTERIZE, TRAIN, EVALUATE])
def test_labels_that_are_no_vectors(place: Path, command: str) -> None:
    Path("osm.gpkg").write_text("no vectors at all")
    refused(command, r"osm\.gpkg cannot be read")


@pytest.mark.parametrize("command", [RASTERIZE, TRAIN, EVALUATE])
def test_labels_of_another_place(place: Path, command: str) -> None:
    write_vectors(Path("osm.gpkg"), shift=(50_000, 0))
    refused(command, r"No feature of osm\.gpkg lies on the scene|No feature of .*/osm\.gpkg lies on the scene")


@pytest.mark.parametrize("command", ["rasterize mask.tif --like scene.tif --out map.tif", TRAIN])
def test_a_mask_of_another_place(place: Path, command: str) -> None:
    changed("osm.gpkg", "mask.tif")
    elsewhere = {**PLACE, "transform": PLACE["transform"].translation(1e5, 1e5)}
    write_raster(Path("mask.tif"), truth()[None], **elsewhere)
    refused(command, r"mask\.tif has no label on the scene")


@pytest.mark.parametrize("command", [RASTERIZE, TRAIN])
def test_vectors_without_crs(place: Path, command: str) -> None:
    write_vectors(Path("osm.gpkg"), crs=None)
    refused(command, r"osm\.gpkg have no coordinate reference system", "assume.crs")


@pytest.mark.parametrize("command", [RASTERIZE, TRAIN])
def test_a_scene_without_crs(place: Path, command: str) -> None:
    write_raster(Path("scene.tif"), image(), crs=None)
    refused(command, "The scene has no coordinate reference system", "assume.crs")


@pytest.mark.parametrize("command", ["rasterize mask.tif --like scene.tif --out map.tif", EVALUATE])
def test_a_mask_without_georeference_of_another_shape(place: Path, command: str) -> None:
    write_raster(Path("mask.tif"), truth()[None, :50], crs=None, transform=None)
    refused(command, "mask")


def test_a_mask_with_values_of_no_class(place: Path) -> None:
    mask = truth()
    mask[0, 0] = 77
    write_raster(Path("mask.tif"), mask[None])
    refused("rasterize mask.tif --like scene.tif --out map.tif --classes project.yaml", "77 .1 pixels.", "--unknown")


# --- classes --------------------------------------------------------------------------------------------------

ON_CLASSES = [TRAIN, f"{RASTERIZE} --classes project.yaml"]


@pytest.mark.parametrize("command", ON_CLASSES)
def test_a_class_without_a_rule(place: Path, command: str) -> None:
    changed(", osm: building}", ", osm: []}")
    refused(command, "'house' has no OSM rule")


@pytest.mark.parametrize("command", ON_CLASSES)
def test_two_classes_of_one_colour(place: Path, command: str) -> None:
    changed('"#0000ff"', '"#FF0000"')
    refused(command, "'house' and 'road' have the same colour '#ff0000'", r"project\.yaml, line 4")


@pytest.mark.parametrize("command", ON_CLASSES)
def test_a_rule_nobody_can_read(place: Path, command: str) -> None:
    changed("osm: road", "osm: [highway=]")
    refused(command, r"classes\[2\]\.osm\[0\] is 'highway='", r"project\.yaml, line 7")


@pytest.mark.parametrize(
    "text",
    [
        "- {name: 7, colour: '#000000'}\n",
        "classes: [a, b]\n",
        "- {name: a, colour: '#000000'}\n",
        "- {name: a, colour: '#000000'}\n- {name: b, colour: '#000000'}\n",
    ],
)
def test_a_file_of_classes_that_will_not_do(place: Path, text: str) -> None:
    Path("classes.yaml").write_text(text)
    refused(f"{RASTERIZE} --classes classes.yaml", r"classes\.yaml")


def test_classes_of_a_file_that_is_not_there(place: Path) -> None:
    refused(f"{RASTERIZE} --classes classes.yaml", r"no file classes\.yaml")


@pytest.mark.parametrize(
    "given", ["--layer moon", "--assume-crs moon", "--road-width-m 0", "--road-width-m nan", "--all-as moon"]
)
def test_options_of_labels_that_will_not_do(place: Path, given: str) -> None:
    refused(f"{RASTERIZE} {given}", given.split()[1])


@pytest.mark.parametrize("given", ["--assume-gsd-m -1", "--assume-gsd-m inf", "--scores map.tif"])
def test_options_of_mapping_that_will_not_do(place: Path, given: str) -> None:
    refused(f"{PREDICT} {given}", given.split()[1])


@pytest.mark.parametrize("names", ["castle", "building,castle", ","])
def test_a_class_nobody_knows(place: Path, names: str) -> None:
    refused(f"{RASTERIZE} --classes {names}", "castle" if "castle" in names else "--classes")


def test_a_class_for_all_that_there_is_not(place: Path) -> None:
    refused(f"{RASTERIZE} --all-as castle", "castle")


# --- training -------------------------------------------------------------------------------------------------


def test_a_class_without_a_pixel_to_learn_from(place: Path) -> None:
    # A strip between the roads.
    changed("96, 64]}]\n  refiner", "12, 64]}]\n  refiner")
    project = Path("project.yaml")
    project.write_text(project.read_text().replace("patch_px: 16}\nrefiner", "patch_px: 8}\nrefiner"))
    refused(TRAIN, "no pixel of class 'road'")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("window: [0, 0, 96, 64]", "window: [0, 0, 12, 64]"),
        ("batch: 1, patch_px: 16}\nrefiner", "batch: 1, patch_px: 512}\nrefiner"),
    ],
)
def test_a_training_area_smaller_than_a_patch(place: Path, old: str, new: str) -> None:
    changed(old, new)
    refused(TRAIN, "is smaller than a patch of", "enlarge the area, or set patch_px to")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("scene.tif}", "scene.tif, band: [1]}", "scene.band is not a known key"),
        ("patch_px: 16}\nrefiner", "patch_px: wide}\nrefiner", "coarse.patch_px is 'wide'"),
        ("{window: [0, 0, 96, 64]}", "{polygon: [[0, 0], [1, 1]]}", "2 different points"),
        ("{window: [0, 0, 96, 64]}", "{polygon: [[0, 0], [1, 1], [1, 0], [0, 1]]}", "cross itself"),
        ("{window: [0, 0, 96, 64]}", "{polygon: [[0, 0], [1, 1], [1, 0]]}", "outside the scene"),
        ("{window: [0, 0, 96, 64]}", "{window: [0, 0, 960, 64]}", "outside the scene"),
        ("{window: [0, 0, 96, 64]}", "{window: [0, 0, 96, 65]}", "share"),
        ("crispmap: 2", "crispmap: 3", "format 3"),
        ("name: small", "name: [small", "line"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "predict"])
def test_a_project_file_that_will_not_do(place: Path, verb: str, old: str, new: str, said: str) -> None:
    changed(old, new)
    refused(f"{verb} project.yaml", said, r"project\.yaml")


@pytest.mark.parametrize("verb", ["train", "predict"])
def test_a_project_file_that_is_not_there(place: Path, verb: str) -> None:
    refused(f"{verb} other.yaml", r"other\.yaml")
    refused(f"{verb} {place.parent}", r"project\.yaml")


def test_predicting_before_training(place: Path) -> None:
    refused("predict project.yaml", r"coarse\.safetensors", "crispmap train")


# --- model files ----------------------------------------------------------------------------------------------


def truncated(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-100])
    return "cannot be read"


def of_another_tool(path: Path) -> str:
    save_file({"a": np.zeros(3)}, path)
    return "no crispmap model card"


def no_model(path: Path) -> str:
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    return "cannot be read"


def newer(path: Path) -> str:
    with safe_open(path, framework="numpy") as file:
        card = json.loads(file.metadata()["crispmap"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {"crispmap": json.dumps(card | {"format": 99})})
    return "has format 99"


def not_there(path: Path) -> str:
    path.unlink()
    return "is not a file"


def of_the_other_kind(path: Path) -> str:
    other = {"coarse": "refiner", "refiner": "coarse"}[path.stem]
    path.write_bytes(path.with_stem(other).read_bytes())
    return f"holds a {other} model"


@pytest.mark.parametrize("spoil", [truncated, of_another_tool, no_model, newer, not_there, of_the_other_kind])
@pytest.mark.parametrize(("command", "model"), [(PREDICT, "coarse"), (PREDICT, "refiner"), (REFINE, "refiner")])
def test_a_model_that_will_not_do(place: Path, command: str, model: str, spoil: Callable[[Path], str]) -> None:
    path = Path(f"{model}.safetensors")
    refused(command, spoil(path), rf"{model}\.safetensors")


def test_models_of_different_bands(place: Path) -> None:
    shutil.copy("coarse.safetensors", "three.safetensors")
    write_models(place, bands=4)
    refused(PREDICT.replace("coarse.", "three."), "bands red, green, blue;", "nir")


# --- output ---------------------------------------------------------------------------------------------------

WRITING = [PREDICT, REFINE, RASTERIZE]


@pytest.mark.parametrize("command", WRITING)
def test_a_file_that_is_there_is_kept_unless_forced(place: Path, command: str) -> None:
    Path("map.tif").write_text("precious")
    refused(command, r"map\.tif exists", "--force")
    assert run(*command.split(), "--force").exit_code == 0
    assert read("map.tif").shape == (1, *SHAPE)


@pytest.mark.parametrize("command", [TRAIN, "predict project.yaml"])
def test_results_that_are_there_are_kept_unless_forced(place: Path, command: str) -> None:
    Path("results").mkdir()
    for name in ("coarse.safetensors", "refiner.safetensors"):
        shutil.copy(name, "results")
    Path("results/coarse.tif").write_text("precious")
    before = contents(place)
    result = run(*command.split())
    assert result.exit_code == 2
    assert re.search("results/coarse.* exists", result.stderr)
    assert "--force" in result.stderr
    assert contents(place) == before


def test_a_project_that_is_there_is_kept_unless_forced(place: Path) -> None:
    refused(f"init {place} --scene scene.tif", r"project\.yaml exists", "--force")


@pytest.mark.parametrize("out", ["scene.tif", "scene.tif/town"])
def test_a_demo_where_a_file_is(place: Path, out: str) -> None:
    refused(f"demo --out {out}", "scene.tif")


@pytest.mark.parametrize("command", WRITING)
def test_an_output_that_is_an_input(place: Path, command: str) -> None:
    given = "osm.gpkg" if command is RASTERIZE else "scene.tif"
    refused(f"{command} --force".replace("map.tif", given), given)


@pytest.mark.parametrize("command", WRITING)
@pytest.mark.parametrize(
    ("out", "said"),
    [("no/where/map.tif", "does not exist"), ("results", "is a folder"), ("scene.tif/map.tif", "scene.tif")],
)
def test_an_output_nowhere(place: Path, command: str, out: str, said: str) -> None:
    Path("results").mkdir()
    if out == "results" and command.startswith("predict"):
        pytest.skip("predict writes its maps into a folder that is there")
    refused(command.replace("map.tif", out), said)


@pytest.fixture
def locked(place: Path) -> Iterator[Path]:
    """A folder that cannot be written to."""
    if os.geteuid() == 0:
        yield Path("/proc")  # root may write anywhere but here
        return
    folder = place / "locked"
    folder.mkdir(mode=0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("command", [*WRITING, TRAIN])
def test_an_output_that_cannot_be_written(place: Path, locked: Path, command: str) -> None:
    changed("folder: results", f"folder: {locked}/results")
    refused(command.replace("map.tif", f"{locked}/map.tif"), f"{locked}")


@pytest.fixture
def tiny_disk(place: Path) -> Iterator[Path]:
    """A folder on a disk of 64 kB."""
    folder = place.parent / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("command", [*WRITING, TRAIN])
@pytest.mark.parametrize("free", [0, 20_000])
def test_a_full_disk(place: Path, tiny_disk: Path, command: str, free: int) -> None:
    (tiny_disk / "filler").write_bytes(bytes(65_536 - free))
    before = contents(tiny_disk)
    changed("folder: results", f"folder: {tiny_disk}")
    refused(command.replace("map.tif", f"{tiny_disk}/map.tif"), f"{tiny_disk}", "space")
    left = contents(tiny_disk)
    assert {name: left[name] for name in before} == before
    kept = (".map.tif.crispmap/blocks/", ".coarse.tif.crispmap/blocks/")  # finished blocks, to go on from
    left = {name for name in left if not name.startswith(kept)}
    assert not [name for name in left if name.endswith((".tif", ".safetensors", ".part", ".partial", ".tmp"))]


# --- interruptions ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, b"Interrupted. "), (signal.SIGTERM, 143, b"Terminated. ")]
)
def test_a_training_interrupted_is_kept_and_resumed(place: Path, number: int, status: int, said: bytes) -> None:
    changed("kind: fcn-rnn, max_steps: 2,", "kind: fcn-rnn, max_steps: 150,")
    checkpoint = Path("results/training/coarse/last.safetensors")
    with subprocess.Popen(
        [*CRISPMAP, *TRAIN.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as child:
        until = time.monotonic() + 60
        while not checkpoint.exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        child.send_signal(number)
        output, errors = child.communicate(timeout=60)
    assert (child.returncode, output) == (status, b""), errors
    last = errors.splitlines()[-1]
    assert last.startswith(said)
    assert b"--resume" in last
    assert 0 < load_tree(checkpoint)["global_step"] < 150
    assert not list(Path().rglob("*.tmp"))
    assert not Path("results/coarse.safetensors").exists()
    refused(TRAIN, "results/training/coarse already has a training", "resume")
    result = run(*TRAIN.split(), "--resume")
    assert result.exit_code == 0, result.output
    assert load_tree(checkpoint)["global_step"] == 150
    assert run("predict", "project.yaml").exit_code == 0


@pytest.mark.parametrize(
    "options",
    [["--area", "0,0,10,10"], ["--kind", "logit"], ["--encoding", "latin-1"], ["--unknown", "ignore"]],
    ids=str,
)
def test_options_of_maps_do_not_go_with_a_project(place: Path, options: list[str]) -> None:
    result = run("evaluate", place / "project.yaml", "--force", *options)
    assert result.exit_code == 2, result.output
    assert options[0] in result.stderr
