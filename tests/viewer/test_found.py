"""What rasters are taken for, and those that cannot be shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasters_to_view import SCHEMA, class_map, some_ids, some_image, write

from crispmap.errors import InputError, SceneError
from crispmap.raster.spec import CONFIDENCE_TAG, SCORES_TAG
from crispmap.viewer.errors_layer import worst_places
from crispmap.viewer.found import look_at
from crispmap.viewer.points import facts_at
from crispmap.viewer.run import ViewOptions, assemble
from crispmap.viewer.view import facts_of


def test_classes_are_those_of_the_tag_markup_and_all(tmp_path: Path) -> None:
    view = assemble([class_map(tmp_path / "map.tif", some_ids(40, 40))])
    (layer,) = facts_of(view)["layers"]
    assert layer["kind"] == "classes"
    assert [(one["name"], one["colour"]) for one in layer["classes"]] == [(one.name, one.colour) for one in SCHEMA]


def test_a_table_of_colours_makes_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "map.tif", np.array([[7, 9]], np.uint8))
    with rasterio.open(path, "r+") as target:
        target.write_colormap(1, {7: (255, 0, 0, 255), 9: (0, 0, 255, 255)})
    (layer,) = assemble([path]).layers
    assert [(one.value, one.colour) for one in layer.classes] == [(7, "#ff0000"), (9, "#0000ff")]


def test_few_whole_numbers_are_classes_and_many_are_an_image(tmp_path: Path) -> None:
    few = write(tmp_path / "few.tif", np.tile(np.arange(4, dtype=np.uint8), (4, 4)))
    many = write(tmp_path / "many.tif", np.arange(200, dtype=np.uint8).reshape(10, 20))
    assert assemble([few]).layers[0].kind == "classes"
    assert assemble([many]).layers[0].kind == "image"


def test_scores_are_a_layer_of_probability_for_each_class_but_the_first(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(3, 20, 30)).astype(np.float32)
    path = write(tmp_path / "scores.tif", scores, tags={SCORES_TAG: "logit"})
    view = assemble([path])
    assert [one.kind for one in view.layers] == ["amount", "amount"]
    facts = facts_at(view, 4, 7)
    assert facts is not None
    shares = np.exp(scores[:, 7, 4]) / np.exp(scores[:, 7, 4]).sum()
    assert [one["value"][0] for one in facts["layers"]] == pytest.approx(shares[1:], rel=1e-4)


def test_confidence_and_floats_are_amounts(tmp_path: Path) -> None:
    confidence = write(tmp_path / "c.tif", np.full((2, 9, 9), 0.5, np.float32), tags={CONFIDENCE_TAG: "softmax"})
    heights = write(tmp_path / "h.tif", np.linspace(0, 100, 81, dtype=np.float32).reshape(9, 9))
    assert assemble([confidence]).layers[0].kind == "amount"
    (layer,) = assemble([heights]).layers
    assert layer.ramp == pytest.approx((2, 98))


def test_of_thirteen_bands_three_are_shown_and_any_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tif", some_image(30, 30, 13, "uint16"))
    assert look_at(path).file.bands == (4, 3, 2)
    assert assemble([path], ViewOptions(bands=(8, 4, 3))).layers[0].bands == ("band 8", "band 4", "band 3")
    assert assemble([path], ViewOptions(bands=(11,))).layers[0].bands == ("band 11",)
    for wrong in ((14, 1, 2), (0, 1, 2), (1, 2)):
        with pytest.raises(SceneError):
            assemble([path], ViewOptions(bands=wrong))


def test_bands_are_found_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tif", some_image(30, 30, 4, "uint16"))
    with rasterio.open(path, "r+") as target:
        target.descriptions = ("B02", "B03", "B04", "B08")
    assert look_at(path).file.bands == (3, 2, 1)


def test_one_pixel_is_shown(tmp_path: Path) -> None:
    view = assemble([class_map(tmp_path / "map.tif", np.array([[1]]))])
    facts = facts_at(view, 0, 0)
    assert facts is not None
    assert facts["layers"][0]["class"] == "building"
    assert facts["layers"][0]["object_m2"] == pytest.approx(0.25, rel=1e-3)
    assert facts_at(view, 1, 0) is None


def test_the_area_of_an_object_is_that_of_the_pixels_that_hang_together(tmp_path: Path) -> None:
    ids = np.zeros((60, 60), np.uint8)
    ids[10:20, 10:14] = ids[20:22, 14:16] = 1  # which touch at a corner
    ids[40, 40] = 1
    view = assemble([class_map(tmp_path / "map.tif", ids)])
    facts = facts_at(view, 11, 11)
    assert facts is not None
    assert facts["layers"][0]["object_m2"] == pytest.approx(44 * 0.25, rel=2e-3)  # of UTM, near its central meridian
    assert facts["layers"][0]["object_cut"] is False
    assert facts["lonlat"] == pytest.approx([3.0, 45.15], abs=0.01)


def test_the_worst_places_are_where_errors_are(tmp_path: Path) -> None:
    reference, mapped = np.zeros((640, 640), np.uint8), np.zeros((640, 640), np.uint8)
    reference[130:180, 200:250] = 1
    mapped[520:540, 520:540] = 2
    paths = class_map(tmp_path / "map.tif", mapped), class_map(tmp_path / "reference.tif", reference)
    view = assemble([paths[0]], ViewOptions(reference=paths[1]))
    layer = next(one for one in view.layers if one.kind == "errors")
    first, second, *_ = worst_places(layer.source, view.pyramid)
    assert first.missed > 0
    assert first.false == 0
    assert first.block.intersection(type(first.block)(130, 200, 50, 50)).height > 0
    assert (second.missed, second.false) == (0, 400)


@pytest.mark.parametrize("content", [b"", b"no raster", b"II*\0" + b"\0" * 100])
def test_what_is_no_raster_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    path.write_bytes(content)
    with pytest.raises(SceneError) as caught:
        assemble([path])
    assert str(path) in caught.value.given


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    path = class_map(tmp_path / "map.tif", some_ids(40, 40))
    (tmp_path / "empty").mkdir()
    image = write(tmp_path / "image.tif", some_image(40, 40))
    wrong = [
        ([], ViewOptions()), ([tmp_path / "empty"], ViewOptions()), ([path], ViewOptions(scene="a")),
        ([path], ViewOptions(reference=image)), ([path, tmp_path / "project.yaml"], ViewOptions()),
        ([tmp_path / "osm.gpkg"], ViewOptions()),
    ]  # fmt: skip
    for paths, options in wrong:
        with pytest.raises(InputError) as caught:
            assemble(paths, options)
        assert not paths or caught.value.given != "Nothing is given."


def test_a_folder_shows_its_rasters_and_names_those_it_cannot(tmp_path: Path) -> None:
    write(tmp_path / "image.tif", some_image(40, 40))
    class_map(tmp_path / "map.tif", some_ids(40, 40))
    class_map(tmp_path / "unplaced.tif", some_ids(30, 30), crs=None)
    (tmp_path / "report.html").write_text("no raster")
    view = assemble([tmp_path])
    assert [one.name for one in view.layers] == ["image", "map"]
    assert len(view.notes) == 1
    assert "unplaced" in view.notes[0]
