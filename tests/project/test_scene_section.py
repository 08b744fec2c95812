"""How a project file says that its scene is read."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from crispmap.project.file.scene_sections import SceneFile


def test_nodata_and_its_tolerance_reach_the_scene() -> None:
    assert SceneFile.model_validate({"path": "s.tif"}).ref.nodata is None
    ref = SceneFile.model_validate({"path": "s.tif", "nodata": -9999, "nodata_tolerance": 2, "bands": (3, 1)}).ref
    assert (ref.nodata, ref.nodata_tolerance, ref.bands) == (-9999.0, 2.0, (3, 1))
    none = SceneFile.model_validate({"path": "s.tif", "nodata": "nan"}).ref.nodata
    assert none is not None
    assert math.isnan(none)


@pytest.mark.parametrize("given", [{"nodata": "none"}, {"nodata": math.inf}, {"nodata_tolerance": -1}], ids=str)
def test_what_is_no_nodata_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SceneFile.model_validate({"path": "s.tif", **given})
