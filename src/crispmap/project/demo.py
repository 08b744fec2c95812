"""The demo: a generated town, processed like any project."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crispmap.errors import OutputError
from crispmap.events import SILENT, Listener
from crispmap.inference.options import PredictOptions
from crispmap.project.results import Results, Story, evaluate_project
from crispmap.project.run import Products, predict_project, train_project
from crispmap.synth.write import write_town
from crispmap.training.options import TrainerOptions

SIZE_PX = (1600, 2400)  # height and width of the demo's town

_PROJECT = """\
# The demo's project. Copy it, put your own files in, and run the same verbs:
#   crispmap train project.yaml; crispmap predict project.yaml; crispmap evaluate project.yaml
crispmap: 2
name: town
seed: {seed}
scene: {{path: scene.tif}}
classes:
  - {{name: background, colour: "#f2efe9"}}
  - {{name: building, colour: "#d7191c", osm: building}}
  - {{name: road, colour: "#fdae61", osm: road, width_m: 7}}
labels: {{path: osm.gpkg}}        # plentiful and imprecise: shifted, incomplete, roads as lines
reference: {{path: truth.tif}}    # precise
areas:                          # windows [row, col, height, width]; no two overlap
  coarse: [{{window: [0, 0, {height}, {left}]}}]
  validation: [{{window: [0, {left}, {half}, {held}]}}]
  refiner: [{{window: [0, {precise}, {half}, {right}]}}]
  test: [{{window: [{half}, {left}, {rest}, {east}]}}]
{networks}
output: {{folder: results}}
"""
_DEFAULT = """\
coarse: {kind: unet-lite0, preset: fast}    # a U-Net whose encoder knows ImageNet
finetune: true                              # it goes on with the precise piece
refiner: {kind: rnn, preset: fast}          # sharpens its scores along the edges of the image"""
_PAPERS = """\
coarse: {kind: fcn-rnn, gsd_m: 1.0, preset: fast}
refiner: {kind: rnn, variant: class-specific, iterations: 5, preset: fast}"""

_NOTES = (
    "The town is generated, and so is its truth; the labels the coarse network learned from are its map as volunteers "
    "might have drawn it: displaced by a smooth drift of 2.75 m and an offset of 1 to 2 m, a tenth of the buildings "
    "missing in clusters, rows of houses merged, roads as lines without widths.",
    "The areas do not overlap: the coarse network learned on the western three fifths; what sharpens its map, and the "
    "biases of the re-thresholded one, come from the north-eastern fifth, a part of which chose the best weights; and "
    "every figure is from the south-eastern fifth.",
)


@dataclass(frozen=True)
class Demo:
    """The results of a demo."""

    results: Results
    products: Products
    timings: dict[str, float] = field(default_factory=dict)  # seconds by stage


def run_demo(  # noqa: PLR0913 - what a person may choose
    folder: Path,
    *,
    seed: int = 0,
    papers: bool = False,
    size_px: tuple[int, int] = SIZE_PX,
    force: bool = False,
    trainer: TrainerOptions = TrainerOptions(),
    events: Listener = SILENT,
) -> Demo:
    """Generate a town, train on it, map it, sharpen the map and write the report.

    Args:
        papers: Whether to train the network and the refiner of the papers, in place of the default network.
        size_px: Height and width of the town; at least 400 rows, and 5 columns for every row of the refiner's patch.
    """
    project = folder / "project.yaml"
    if project.exists() and not force:
        raise OutputError(
            f"{folder} holds a project already.", remedy="give force=True to replace it, or another folder"
        )
    timings: dict[str, float] = {}

    @contextmanager
    def stage(name: str, text: str) -> Iterator[None]:
        events.note(text)
        begun = time.perf_counter()
        yield
        timings[name] = time.perf_counter() - begun

    height, width = size_px
    with stage("generate the town", f"Generating a town of {width * height / 1e6:.1f} Mpx at 0.5 m"):
        write_town(folder, size_px=size_px, seed=seed, force=force)
        project.write_text(_project_text(size_px, seed, _PAPERS if papers else _DEFAULT), encoding="utf-8")
    with stage("train the coarse network", "Training the coarse network on the imprecise map"):
        train_project(project, stage="coarse", force=force, trainer=trainer, events=events)
    if not papers:
        with stage("fine-tune the network", "Fine-tuning the network on the precise piece"):
            train_project(project, stage="finetuned", force=force, trainer=trainer, events=events)
    with stage("train the refiner", "Training the refiner on the precise piece"):
        train_project(project, stage="refiner", force=force, trainer=trainer, events=events)
    with stage("map the town", "Mapping the whole town, before and after refinement"):
        predict_project(project, options=PredictOptions(device=trainer.device, force=force), events=events)
    events.note("Scoring the maps on the test area")
    story = Story("A generated town, mapped from an imprecise map", timings, _NOTES)
    results = evaluate_project(project, force=force, story=story, events=events)
    return Demo(results, Products(folder / "results"), timings)


def _project_text(size_px: tuple[int, int], seed: int, networks: str) -> str:
    height, width = size_px
    left, half = width * 3 // 5, height // 2
    held = (width - left) * 3 // 20
    return _PROJECT.format(
        seed=seed, height=height, left=left, half=half, held=held, precise=left + held, right=width - left - held,
        rest=height - half, east=width - left, networks=networks,
    )  # fmt: skip
