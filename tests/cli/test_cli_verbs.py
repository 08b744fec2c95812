"""``train``, ``predict`` and ``refine``: what they hand to the workflow, and what they refuse."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

from crispmap.cli.main import app
from crispmap.events import progress
from crispmap.inference.job import GivenScores
from crispmap.inference.options import PredictOptions
from crispmap.training.options import TrainerOptions


class Mapped(NamedTuple):
    """Stands for what a map has come to."""

    paths: tuple[Path, ...]
    blocks: int = 4
    resumed: int = 0
    engine: str = "an engine"
    seams: None = None
    pixel_sizes: str = "the coarse network works at 1 m; the scene has pixels of 0.3 m"


class Outputs(NamedTuple):
    """Stands for the files to write."""

    out: Path
    scores: Path | None = None
    coarse: Path | None = None
    confidence: Path | None = None
    encoding: str = "float32"
    recalibrated: Path | None = None


class Calls:
    """Stands for the workflow: notes what it is asked for."""

    def __init__(self) -> None:
        self.made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.written = [Path("a.tif"), Path("b.tif")]

    def module(self, *names: str) -> types.SimpleNamespace:
        def function(name: str) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                with progress(kwargs.pop("events"), "map", 2) as running:
                    running.advance(1, loss=0.5)
                    running.note("Writing m.tif")
                self.made.append((name, args, kwargs))
                result = Mapped(tuple(self.written))
                return {"train_project": self.written, "predict_scenes": [result], "predict_project": [result]}.get(
                    name, result
                )

            return call

        return types.SimpleNamespace(**{name: function(name) for name in names})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    project = calls.module("train_project", "predict_project")
    monkeypatch.setitem(sys.modules, "crispmap.project.run", project)  # type: ignore[arg-type]
    scene = calls.module("predict_scenes", "refine_scene")
    scene.Outputs = Outputs
    monkeypatch.setitem(sys.modules, "crispmap.inference.predict", scene)  # type: ignore[arg-type]
    monkeypatch.setattr("crispmap.raster.resolve.resolve_scenes", lambda scenes, **where: (scenes, where))
    return calls


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def test_train_defaults(calls: Calls) -> None:
    result = run("train")
    assert result.exit_code == 0, result.output
    told = r"Wrote a\.tif\nWrote b\.tif\nTook 0\.\d s\nNext: crispmap predict project\.yaml\n"
    assert re.fullmatch(told, result.stderr), result.stderr
    assert calls.made == [
        (
            "train_project",
            (Path("project.yaml"),),
            {
                "stage": None,
                "start": None,
                "precision": None,
                "resume": False,
                "force": False,
                "trainer": TrainerOptions(),
            },
        )
    ]


def test_train_with_everything(calls: Calls) -> None:
    args = [
        "--stage",
        "refiner",
        "--from",
        "c.safetensors",
        "--precision",
        "float32",
        "--resume",
        "--force",
        "--device",
        "cuda",
        "--devices",
        "2",
        "--memory",
        "2GB",
    ]
    assert run("train", "x/p.yaml", *args).exit_code == 0
    assert calls.made == [
        (
            "train_project",
            (Path("x/p.yaml"),),
            {
                "stage": "refiner",
                "start": Path("c.safetensors"),
                "precision": "float32",
                "resume": True,
                "force": True,
                "trainer": TrainerOptions("cuda", 2, 0, 2 * 10**9),
            },
        )
    ]


@pytest.mark.parametrize("verb", ["train", "compare", "demo"])
def test_memory_that_is_none_is_refused(verb: str) -> None:
    result = run(verb, "--memory", "much")
    assert result.exit_code == 2
    assert "'much'" in result.stderr


def test_the_next_step_is_told_as_it_is_typed(calls: Calls) -> None:
    assert "Next: crispmap predict 'my project'\n" in run("train", "my project").stderr
    assert "Next" not in run("train", "my project", "--stage", "coarse").stderr
    assert "Next" not in run("predict", "p.yaml").stderr  # two files: of a project without a reference
    calls.written += [Path("c.tif"), Path("d.tif")]
    assert "Next: crispmap evaluate 'p q.yaml'\n" in run("predict", "p q.yaml").stderr
    assert "Resampled: the coarse network works at 1 m" in run("predict", "p q.yaml").stderr
    assert "Next" not in run("predict", "s.tif", "--model", "c.safetensors", "--out", "m.tif").stderr


@pytest.mark.parametrize("target", [".", "p.yaml", "p.YML"])
def test_predict_of_a_project(calls: Calls, target: str) -> None:
    assert run("predict", target, "--block", "256", "--force", "--device", "cpu").exit_code == 0
    assert calls.made == [
        ("predict_project", (Path(target),), {"options": PredictOptions(block_px=256, device="cpu", force=True)}),
    ]


def test_predict_of_a_scene(calls: Calls) -> None:
    result = run("predict", "s.tif", "--model", "c.safetensors", "--out", "m.tif")
    assert result.exit_code == 0, result.output
    args = ["--refiner", "r.safetensors", "--scores", "u.tif", "--coarse-scores", "v.tif", "--confidence", "w.tif"]
    args += ["--bands", "3,2,1", "--assume-gsd-m", "0.5", "--scores-as", "float16", "--workers", "2", "--restart"]
    args += ["--engine", "torch", "--precision", "bfloat16", "--verify-seams", "3", "--block", "256", "--nodata", "0"]
    args += ["--nodata-tolerance", "16"]
    assert run("predict", "s.tif", "t.tif", "--model", "c.safetensors", "--out", "m", *args).exit_code == 0
    plain = {
        "model": Path("c.safetensors"),
        "refiner": None,
        "outputs": Outputs(Path("m.tif")),
        "options": PredictOptions(),
    }
    full = plain | {
        "refiner": Path("r.safetensors"),
        "outputs": Outputs(Path("m"), Path("u.tif"), Path("v.tif"), Path("w.tif"), "float16"),
        "options": PredictOptions(
            engine="torch", precision="bfloat16", block_px=256, workers=2, restart=True, verify_seams=3
        ),
    }  # fmt: skip
    one = ["s.tif"], {"bands": None, "assume_gsd_m": None, "nodata": None, "nodata_tolerance": None}
    two = ["s.tif", "t.tif"], {"bands": (3, 2, 1), "assume_gsd_m": 0.5, "nodata": 0.0, "nodata_tolerance": 16.0}
    assert calls.made == [("predict_scenes", (one,), plain), ("predict_scenes", (two,), full)]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["s.tif"], "s.tif"),
        (["s.tif", "--out", "m.tif"], "Add --model"),
        (["p.yaml", "--out", "m.tif", "--bands", "1"], "--out, --bands"),
        (["s.tif", "--model", "c.safetensors"], "Add --out"),
        (["s.tif", "--model", "c.safetensors", "--out", "m.tif", "--bands", "x"], "--bands is 'x'"),
    ],
)
def test_what_predict_refuses(calls: Calls, args: list[str], said: str) -> None:
    result = run("predict", *args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not calls.made


def test_refine(calls: Calls) -> None:
    needed = ["u.tif", "--scene", "s.tif", "--refiner", "r.safetensors", "--out", "m.tif"]
    assert run("refine", *needed).exit_code == 0
    more = ["--scores", "v.tif", "--kind", "probability", "--full-scale", "200", "--bands", "1", "--force"]
    assert run("refine", *needed, *more).exit_code == 0
    plain = {"refiner": Path("r.safetensors"), "outputs": Outputs(Path("m.tif")), "options": PredictOptions()}
    full = plain | {
        "outputs": Outputs(Path("m.tif"), Path("v.tif")),
        "options": PredictOptions(force=True),
    }
    given = GivenScores(Path("u.tif")), GivenScores(Path("u.tif"), "probability", 200.0)
    rest = {"assume_gsd_m": None, "nodata": None, "nodata_tolerance": None}
    scene, banded = ((["s.tif"], {"bands": bands, **rest}) for bands in (None, (1,)))
    assert calls.made == [("refine_scene", (given[0], scene), plain), ("refine_scene", (given[1], banded), full)]
