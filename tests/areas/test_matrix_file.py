"""Confusion matrices as tables: the classes of the map in rows, in any order, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from area_inputs import SCHEMA, ids, write_map

from crispmap.areas.accuracy import ReferenceSample, map_accuracy
from crispmap.areas.matrix_file import read_matrix
from crispmap.areas.run import AreaOptions, areas_of
from crispmap.errors import AreaError

GOOD = "map\\reference,forest,cut,water\nforest,50,2,1\ncut,3,40,0\nwater,0,1,30\n"
COUNTS = [[50, 2, 1], [3, 40, 0], [0, 1, 30]]


def written(folder: Path, text: str) -> Path:
    (folder / "matrix.csv").write_text(text, encoding="utf-8")
    return folder / "matrix.csv"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("map\\reference", ""),
        "\ufeff" + GOOD.replace(",", ";").replace("\n", "\r\n"),
        GOOD.replace(",", "\t"),
        "map,water,forest,cut\ncut,0,3,40\nwater,30,0,1\nforest,1.0,50, 2\n\n",
    ],
)
def test_the_order_of_names_and_the_dialect_change_nothing(tmp_path: Path, text: str) -> None:
    assert read_matrix(written(tmp_path, text), SCHEMA.names).tolist() == COUNTS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("map\\reference", "reference\\map"), "reference in its rows"),
        *(
            (GOOD.replace("map\\reference", one), "reference in its rows")
            for one in ("True\\predicted", "actual", "Observed")
        ),
        (GOOD.replace("40", "9" * 20), "9" * 20),
        (GOOD.replace("water,0,1,30\n", ""), "2 rows"),
        (GOOD.replace("3,40,0", "3,40"), "3 rows"),
        (GOOD.replace("cut,3", "burnt,3"), "burnt"),
        (GOOD.replace("forest,cut,water\n", "forest,burnt,water\n"), "burnt"),
        (GOOD.replace("cut,3", "forest,3"), "forest, forest"),
        (GOOD.replace("\n", ",9\n", 1).replace("1\nc", "1,9\nc") + "total,1,2,3,4\n", "rows"),
        (GOOD.replace("40", "0.4"), "0.4"),
        (GOOD.replace("40", "-4"), "-4"),
        (GOOD.replace("40", "many"), "many"),
        ("", "empty"),
    ],
)
def test_what_is_no_matrix_of_the_map_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(AreaError, match=told):
        read_matrix(written(tmp_path, text), SCHEMA.names)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(AreaError, match="cannot be read"):
        read_matrix(tmp_path / "m.csv", SCHEMA.names)


def test_areas_are_corrected_by_it(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", ids())
    table = areas_of([path], AreaOptions(confusion=written(tmp_path, GOOD)))
    expected = map_accuracy(ReferenceSample.of_matrix(SCHEMA.names, np.array(COUNTS), table.mapped_m2[0]))
    assert table.accuracy == expected


def test_beside_a_sample_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AreaError, match="Both"):
        AreaOptions(confusion=tmp_path / "m.csv", sample=tmp_path / "s.gpkg")
