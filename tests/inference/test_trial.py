"""The trial of precisions: what it may cost, what it rests on, and how long its verdict holds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from map_jobs import write_image, write_models

from crispmap.errors import CrispmapWarning, InputError
from crispmap.geo.grid import Grid
from crispmap.inference import precision, trial
from crispmap.inference.engines import EngineChoice, KeptEngines, NetworkSource, Precision, kept
from crispmap.inference.job import LoadedModels, MapJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, predict_scenes
from crispmap.inference.run import PRECISION_TAG
from crispmap.models import device
from crispmap.raster.refs import SceneRef

TORCH = EngineChoice("torch", threads=2)


@dataclass(frozen=True)
class Work:
    """What a sample asks of a work."""

    grid: Grid
    tile_px: int
    square_px: int = 1


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 6000), st.integers(1, 6000)), min_size=1, max_size=20),
    st.sampled_from([64, 256, 512, 1024]),
    st.integers(1, 10**9),
)
def test_a_sample_costs_at_most_a_twentieth_of_the_work(shapes: list[tuple[int, int]], side: int, pixels: int) -> None:
    works = [Work(Grid(None, Affine(1, 0, 0, 0, -1, 0), shape), side) for shape in shapes]
    pieces = trial._pieces(works, pixels)
    taken = sum(block.height * block.width for _, block in pieces)
    assert not pieces or 2 * taken + trial._OPENING_PX <= pixels / 20
    assert len(set(pieces)) == len(pieces)
    for number, block in pieces:
        assert block.shape == (side, side)
        assert block.row % side == block.col % side == 0
        assert block.intersection(works[number].grid.block) == block
    assert pieces == trial._pieces(works, pixels)


def test_a_large_work_is_tried_all_over() -> None:
    works = [Work(Grid(None, Affine(1, 0, 0, 0, -1, 0), (4096, 4096)), 256)] * 3
    pieces = trial._pieces(works, 10**9)
    assert len(pieces) == 8
    assert {number for number, _ in pieces} == {0, 1, 2}
    assert len({block.col for _, block in pieces}) > 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_models(tmp_path)
    for name in ("a", "b", "c"):
        write_image(tmp_path / f"{name}.tif", (260, 300), seed=ord(name), hole=False)
    return tmp_path


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> list[Precision]:
    """Trials cost nothing, bfloat16 is always faster; what is opened for samples is recorded."""
    monkeypatch.setattr(trial, "_OPENING_PX", 0)
    monkeypatch.setattr(trial, "_MOST_COST", 1.0)
    monkeypatch.setattr(precision, "MOST_CHANGED", 2.0)
    monkeypatch.setattr(EngineChoice, "faster_precisions", ("bfloat16",))
    tried: list[Precision] = []

    def counted(candidates, *args, **more):
        tried.extend(candidates)
        return choose(candidates, *args, **more)

    choose = trial.choose_precision
    monkeypatch.setattr(trial, "choose_precision", counted)
    return tried


def mapped(folder: Path, names: str, out: Path, **options) -> list[str]:
    """Map scenes; return what the tags of their maps say of the precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrispmapWarning)
        results = predict_scenes(
            [SceneRef.of(folder / f"{name}.tif") for name in names], model=folder / "coarse.safetensors",
            refiner=folder / "refiner.safetensors", outputs=Outputs(out), options=PredictOptions("torch", **options),
        )  # fmt: skip
    found = []
    for result in results:
        with rasterio.open(result.paths[0]) as file:
            found.append(file.tags().get(PRECISION_TAG))
    return found


def test_all_scenes_of_a_run_have_the_precision_of_one_trial(folder: Path, cheap: list[Precision]) -> None:
    found = mapped(folder, "abc", folder / "maps")
    assert cheap == ["bfloat16"]
    assert len(set(found)) == 1
    assert found[0].startswith("bfloat16; bfloat16 changes")
    assert found == mapped(folder, "abc", folder / "again")  # no time is measured


def test_a_map_that_is_made_or_begun_keeps_its_precision_without_a_trial(folder: Path, cheap: list[Precision]) -> None:
    first = mapped(folder, "ab", folder / "maps")
    before = {path: path.stat().st_mtime_ns for path in (folder / "maps").iterdir()}
    cheap.clear()
    assert mapped(folder, "ab", folder / "maps") == first
    assert {path: path.stat().st_mtime_ns for path in (folder / "maps").iterdir()} == before
    assert cheap == []


def test_a_small_work_is_computed_in_float32_without_a_trial(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EngineChoice, "faster_precisions", ("bfloat16",))
    monkeypatch.setattr(trial, "choose_precision", None)
    assert mapped(folder, "a", folder / "m.tif") == ["float32; the work is too small for a trial of others to pay"]


def test_where_nothing_is_faster_nothing_is_tried(
    folder: Path, cheap: list[Precision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EngineChoice, "faster_precisions", ())
    assert mapped(folder, "a", folder / "m.tif") == ["float32; nothing else is faster on this device"]
    assert cheap == []


class Store:
    """A store of verdicts that outlives a run."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.kept.get(key)

    def put(self, key: str, verdict: str) -> None:
        self.kept[key] = verdict


def test_a_verdict_holds_for_the_models_the_engine_and_the_halo_it_was_found_with(
    folder: Path, cheap: list[Precision]
) -> None:
    store = Store()
    models = replace(LoadedModels.load(folder / "coarse.safetensors", folder / "refiner.safetensors"), verdicts=store)
    job = MapJob(SceneRef.of(folder / "a.tif"), folder / "coarse.safetensors", folder / "refiner.safetensors")
    with job.opened(models) as opened:
        first = trial.settled_precision([opened], TORCH, 10**9)
        assert list(store.kept.values()) == [first]
        assert trial.settled_precision([opened], TORCH, 1) == first  # of any size
        assert len(cheap) == 1
        trial.settled_precision([replace(opened, job=replace(job, models_gsd_m=2.0))], TORCH, 10**9)
        trial.settled_precision([opened], EngineChoice("openvino"), 10**9)
        assert len(cheap) == len(store.kept) == 3
    write_models(folder, seed=9)
    other = replace(LoadedModels.load(folder / "coarse.safetensors", folder / "refiner.safetensors"), verdicts=store)
    with job.opened(other) as opened:
        trial.settled_precision([opened], TORCH, 10**9)
    assert len(cheap) == 4


def test_what_too_few_pixels_have_shown_is_not_kept(
    folder: Path, cheap: list[Precision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "LEAST_PIXELS", 10**9)
    job = MapJob(SceneRef.of(folder / "a.tif"), folder / "coarse.safetensors", folder / "refiner.safetensors")
    with job.opened() as opened:
        one = replace(opened, models=replace(opened.models, verdicts=Store()))
        assert trial.settled_precision([one], TORCH, 10**9).startswith("float32; bfloat16 changes ")
        assert one.models.verdicts.kept == {}


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_an_engine_in_another_precision_is_that_opened_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The bytes are the same, and the network is handed to the library once."""
    opened = []

    def counted(*args):
        opened.append(args)
        return open_engine(*args)

    open_engine = kept.open_engine
    exact, engines = EngineChoice(name), KeptEngines()
    reduced = replace(exact, precision="bfloat16")
    job = MapJob(SceneRef.of(folder / "a.tif"), folder / "coarse.safetensors", folder / "refiner.safetensors")
    with job.opened() as one:
        network, example = _network_of(one, name)
    try:
        alone = open_engine(network, example, reduced)
    except InputError:
        pytest.skip("this machine has no bfloat16")
    monkeypatch.setattr(kept, "open_engine", counted)
    source = NetworkSource("map", lambda: network)
    before = engines.open(source, example, exact)
    expected = before.run(*example)
    other = engines.open(source, example, reduced)
    assert len(opened) == 1
    assert (other.precision, other.text) == ("bfloat16", alone.text)
    for engine, scores in ((other, alone.run(*example)), (before, expected)):
        assert [got.tobytes() for got in engine.run(*example)] == [wanted.tobytes() for wanted in scores]
    engines.open(source, example, replace(exact, threads=2))
    assert len(opened) == 2


def _network_of(opened, name):
    """Return the network and an input of a work."""
    found: list = []

    class Recording(KeptEngines):
        def open(self, source, example, choice):
            found.extend([source.module(), example])
            return super().open(source, example, choice)

    models = opened.models
    object.__setattr__(models, "engines", Recording())
    opened.work(EngineChoice(name))
    return found


@pytest.mark.parametrize("has", [set(), {"_is_avx512_bf16_supported"}, {"_is_amx_tile_supported"},
                                 {"_is_amx_tile_supported", "_is_amx_fp16_supported"}])  # fmt: skip
def test_precisions_without_units_are_no_candidates(has: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_amx_fp16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in has, raising=False)
    expected = ("float16",) if "_is_amx_fp16_supported" in has else ()
    expected += ("bfloat16",) if has else ()
    for name in ("torch", "openvino"):
        assert EngineChoice(name, device="cpu").faster_precisions == expected
    assert EngineChoice("onnxruntime").faster_precisions == ()
    assert not device.has_units(torch.device("meta"))


def test_a_gpu_has_units_by_its_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, expected in (((6, 1), False), ((7, 0), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert device.has_units(torch.device("cuda"), "float16") == expected
