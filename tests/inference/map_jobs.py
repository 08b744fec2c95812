"""A small scene and small models in files, for the tests of jobs carried out."""

from __future__ import annotations

import numpy as np
import rasterio
import torch
from affine import Affine

from crispmap.classes import ClassDef, ClassSchema
from crispmap.inference import run
from crispmap.inference.job import MapJob
from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import save_model
from crispmap.models.scaling import Scaling
from crispmap.raster.refs import SceneRef
from crispmap.refiners.rnn.refiner import RecurrentRefiner

SCHEMA = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ff0000"), ClassDef("road", "#00ff00")))


def make_maps(job, *args, **more):
    """Open a job and make its maps."""
    with job.opened() as opened:
        return run.make_maps(opened, *args, **more)


def card(kind, module, **changes):
    facts = {
        "kind": kind, "architecture": module.architecture, "arguments": module.arguments, "schema": SCHEMA,
        "band_names": ("red", "green", "blue"), "scaling": Scaling((127.0,) * 3, (64.0,) * 3),
        "gsd_m": 1.0, "radius_px": module.radius_px, "stride_px": 4 if kind == "coarse" else 1,
    }  # fmt: skip
    return ModelCard(**{**facts, **changes})


def write_models(folder, seed=0):
    """Write a coarse network and a refiner; return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    network, refiner = fcn_rnn(3, 3), RecurrentRefiner(3, 3, iterations=3, filters=4, hidden=4)
    coarse = save_model(folder / "coarse.safetensors", network, card("coarse", network), force=True)
    return coarse, save_model(folder / "refiner.safetensors", refiner, card("refiner", refiner), force=True)


def write_image(path, shape=(300, 420), *, gsd_m=1.0, seed=4, hole=True):
    """Write a scene of smooth random ground, with nodata in it; return its file."""
    random = np.random.default_rng(seed)
    small = random.integers(1, 255, (3, shape[0] // 8 + 1, shape[1] // 8 + 1))
    image = np.kron(small, np.ones((8, 8))).astype(np.uint8)[:, : shape[0], : shape[1]]
    if hole:
        image[:, 20 : shape[0] // 2, 30:170] = 0
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=3, dtype="uint8", nodata=0,
        crs="EPSG:32631", transform=Affine(gsd_m, 0, 5e5, 0, -gsd_m, 5e6), tiled=True, blockxsize=64, blockysize=64,
    ) as file:  # fmt: skip
        file.write(image)
    return path


def small_job(folder, *, tile_px=64, **scene):
    """Return a job over a new scene and new models in a folder."""
    coarse, refiner = write_models(folder)
    return MapJob(SceneRef.of(write_image(folder / "scene.tif", **scene)), coarse, refiner, tile_px=tile_px)
