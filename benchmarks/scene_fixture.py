"""What benchmarks of inference are given: one scene of any size, and a coarse network and a refiner as model files.

Usage: python scene_fixture.py FOLDER SIDE_PX    (prints the paths as JSON)
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.shutil import copy as copy_raster
from torch import Tensor, nn

from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import FullyConvolutionalNetwork, fcn_rnn
from crispmap.models.file import load_model, save_model
from crispmap.models.scaling import Scaling
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from crispmap.synth.render import render
from crispmap.synth.town import plan_town
from crispmap.synth.truth import TOWN_SCHEMA
from crispmap.synth.write import TOWN_CRS, town_grid

TOWN_PX, GSD_M, SEED = 1024, 1.0, 0
DEMO = Path(__file__).resolve().parents[1] / "demo" / "results"
_BANDS = ("red", "green", "blue", "nir")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Fixture:
    """Files that every benchmark reads.

    Attributes:
        scene: Cloud-optimised GeoTIFF, 4 bands uint8, square.
        model: The coarse network.
        refiner: The refiner.
        weights: Where the weights come from, in words.
    """

    scene: Path
    model: Path
    refiner: Path
    weights: str


def make_fixture(folder: Path, size_px: int) -> Fixture:
    """Return the files for a scene of this side, made where missing.

    The scene is a generated town with pixels of 1 m, mirrored to the size asked for. The weights are those of the
    demo where it was made, else seeded ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scene = folder / f"scene-{size_px}.tif"
    if not scene.exists():
        _write_scene(scene, _town(folder), size_px)
    model, refiner, weights = _write_models(folder)
    return Fixture(scene, model, refiner, weights)


def _town(folder: Path) -> NDArray[np.uint8]:
    kept = folder / f"town-{TOWN_PX}.npy"
    if not kept.exists():
        grid = town_grid((TOWN_PX, TOWN_PX), GSD_M)
        np.save(kept, render(plan_town((TOWN_PX * GSD_M, TOWN_PX * GSD_M), SEED), grid, SEED))
    town: NDArray[np.uint8] = np.load(kept)
    return town


def _write_scene(path: Path, town: NDArray[np.uint8], size_px: int) -> None:
    """Write the town, mirrored at its borders so that it has no seams, as a COG."""
    grid = town_grid((TOWN_PX, TOWN_PX), GSD_M)
    strip = np.pad(town, ((0, 0), (0, 0), (0, max(0, size_px - TOWN_PX))), "symmetric")[:, :, :size_px]
    part = path.with_suffix(".part.tif")
    profile = {"driver": "GTiff", "height": size_px, "width": size_px, "count": 4, "dtype": "uint8", "tiled": True,
               "crs": TOWN_CRS.to_wkt(), "transform": grid.transform, "photometric": "RGB",
               "alpha": "unspecified"}  # fmt: skip
    with rasterio.open(part, "w", **profile) as dataset:
        for number, row in enumerate(range(0, size_px, TOWN_PX)):
            rows = strip[:, ::-1] if number % 2 else strip
            high = min(TOWN_PX, size_px - row)
            dataset.write(rows[:, :high], window=((row, row + high), (0, size_px)))
        dataset.descriptions = _BANDS
    ready = path.with_suffix(".ready.tif")
    copy_raster(part, ready, driver="COG", compress="deflate", predictor=2, blocksize=512, overviews="none")
    part.unlink()
    ready.replace(path)


def _write_models(folder: Path) -> tuple[Path, Path, str]:
    """Write the models, once a folder, with a card that says 1 m, so that no method resamples."""
    model, refiner, origin = folder / "coarse.safetensors", folder / "refiner.safetensors", folder / "weights.txt"
    if origin.exists():
        return model, refiner, origin.read_text()
    if (DEMO / model.name).exists() and (DEMO / refiner.name).exists():
        weights = "of the demo, trained"
        loaded = [(path, load_model(DEMO / path.name)) for path in (model, refiner)]
        made = [(path, one.network, one.card) for path, one in loaded]
    else:
        weights = "seeded, not trained (make demo gives trained ones)"
        made = _seeded(folder, model, refiner)
    for path, module, card in made:
        save_model(path, module, dataclasses.replace(card, gsd_m=GSD_M, provenance={}), force=True)
    origin.write_text(weights)
    return model, refiner, weights


def _seeded(folder: Path, model: Path, refiner: Path) -> list[tuple[Path, Any, ModelCard]]:
    """Return untrained models whose scores spread over the classes of the town."""
    torch.manual_seed(SEED)
    coarse, sharpener = fcn_rnn(bands=4, classes=3), RecurrentRefiner(3, 4)
    town = _town(folder).astype(np.float32)
    offset, scale = town.mean((1, 2)), town.std((1, 2))
    piece = torch.from_numpy((town[:, :512, :512] - offset[:, None, None]) / scale[:, None, None])[None]
    with torch.inference_mode():
        scores: Tensor = coarse(piece)
        last = cast(nn.Conv2d, coarse.convolutions[-1])
        last.weight.mul_((3 / scores.std((0, 2, 3)))[:, None, None, None])
        cast(Tensor, last.bias).copy_(-3 * scores.mean((0, 2, 3)) / scores.std((0, 2, 3)))
    return [
        (model, coarse, _card(coarse, offset, scale)),
        (refiner, sharpener, _card(sharpener, offset, scale)),
    ]


def _card(module: FullyConvolutionalNetwork | RecurrentRefiner, offset: Array, scale: Array) -> ModelCard:
    coarse = isinstance(module, FullyConvolutionalNetwork)
    return ModelCard(
        "coarse" if coarse else "refiner", module.architecture, module.arguments, TOWN_SCHEMA, _BANDS,
        Scaling(tuple(map(float, offset)), tuple(map(float, scale))), GSD_M, module.radius_px, 4 if coarse else 1,
    )  # fmt: skip


if __name__ == "__main__":
    made = make_fixture(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({name: str(value) for name, value in dataclasses.asdict(made).items()}))
