"""Coarse scores of any scale give the figures of the probabilities they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import SceneError
from crispmap.evaluation.files import ScoringRules, evaluate_coarse_file
from crispmap.geo.area_pieces import AreaPiece

SCHEMA = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ff0000")))


def write(path: Path, values: np.ndarray) -> Path:
    where = {"height": 40, "width": 40, "crs": "EPSG:32631", "transform": Affine(1, 0, 5e5, 0, -1, 5e6)}
    with rasterio.open(path, "w", "GTiff", count=len(values), dtype=values.dtype.name, **where) as file:
        file.write(values)
    return path


def test_percent_with_its_scale_is_scored_as_the_shares_and_without_it_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 2, (1, 40, 40)).astype(np.uint8)
    share = np.clip(0.5 * ids + 0.5 * rng.random((1, 40, 40)), 0, 1).astype(np.float32)
    reference = write(tmp_path / "reference.tif", ids)
    areas = {"refiner": [AreaPiece(window=(0, 0, 20, 40))]}
    found = [
        evaluate_coarse_file(
            write(tmp_path / "scores.tif", values), reference, SCHEMA, ScoringRules(areas=areas, full_scale=scale)
        )
        for values, scale in ((share, None), (100 * share, 100.0))
    ]
    assert found[0].coarse.to_dict() == found[1].coarse.to_dict()
    np.testing.assert_allclose(found[0].biases, found[1].biases, atol=1e-3)
    with pytest.raises(SceneError):
        evaluate_coarse_file(tmp_path / "scores.tif", reference, SCHEMA, ScoringRules(areas=areas))
