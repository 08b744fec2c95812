"""A map made in a process of its own, to be killed: scene, model, refiner and output are its arguments."""

from __future__ import annotations

import sys
from pathlib import Path

from map_jobs import SCHEMA, make_maps

from crispmap.inference.job import MapJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.products import ClassMap, Scores
from crispmap.inference.run import Output
from crispmap.raster.refs import SceneRef

if __name__ == "__main__":
    scene, model, refiner, out = map(Path, sys.argv[1:])
    job = MapJob(SceneRef.of(scene), model, refiner, tile_px=64)
    outputs = [Output(ClassMap(), out / "m.tif"), Output(Scores(), out / "s.tif")]
    print("begins", flush=True)  # noqa: T201
    result = make_maps(job, outputs, SCHEMA, options=PredictOptions(engine="torch", block_px=64))
    print("done", result.resumed, flush=True)  # noqa: T201
