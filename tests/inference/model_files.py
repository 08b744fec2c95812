"""A scene and models in files, and the scene mapped with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from small_models import SCHEMA

from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, predict_scenes
from crispmap.models.card import ModelCard
from crispmap.models.file import save_model
from crispmap.models.registry import architectures
from crispmap.models.scaling import Scaling
from crispmap.raster.resolve import resolve_scenes

BANDS = ("red", "green", "blue")
SHAPE = (70, 90)
FCN, LITE0, SQUARES = (
    ("fcn-rnn", {}),
    ("unet-lite0", {"depth": 3, "radius_px": 56}),
    ("cerranet", {"square_px": 64, "width": 4}),
)


def write_model(path: Path, name: str = "fcn-rnn", seed: int = 0, gsd_m: float = 1.0, **options: object) -> Path:
    torch.manual_seed(seed)
    one = architectures()[name]
    network = one.build(bands=len(BANDS), classes=len(SCHEMA), **options).eval()
    card = ModelCard(
        one.kind, name, network.arguments, SCHEMA, BANDS, Scaling((120.0,) * 3, (60.0,) * 3), gsd_m,
        network.radius_px, getattr(network, "stride_px", 1),
    )  # fmt: skip
    return save_model(path, network, card, force=True)


def write_files(made: Path) -> Path:
    """Write the scene and the models; return their folder."""
    pixels = np.random.default_rng(0).integers(1, 255, (3, *SHAPE), np.uint8)
    with rasterio.open(
        made / "scene.tif", "w", driver="GTiff", height=SHAPE[0], width=SHAPE[1], count=3, dtype="uint8",
        crs="EPSG:32631", transform=Affine(1, 0, 500_000, 0, -1, 4_600_000),
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        dataset.descriptions = BANDS
    write_model(made / "fcn.safetensors")
    write_model(made / "lite0.safetensors", LITE0[0], **LITE0[1])
    write_model(made / "coarser.safetensors", gsd_m=2.0)
    write_model(made / "squares.safetensors", SQUARES[0], **SQUARES[1])
    write_model(made / "rnn.safetensors", "rnn", iterations=2, filters=4, hidden=4)
    return made


def mapped(folder: Path, out: Path, model: str, refiner: str | None = None, **options: object) -> bytes:
    predict_scenes(
        resolve_scenes([folder / "scene.tif"]), model=folder / f"{model}.safetensors",
        refiner=None if refiner is None else folder / f"{refiner}.safetensors",
        outputs=Outputs(out, scores=out.with_suffix(".scores.tif")),
        options=PredictOptions(force=True, **{"precision": "float32", **options}),
    )  # fmt: skip
    return out.read_bytes() + out.with_suffix(".scores.tif").read_bytes()
