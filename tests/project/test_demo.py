"""The demo on a small town."""

from __future__ import annotations

from pathlib import Path

import pytest

import crispmap.project.demo as demo_module
from crispmap.errors import OutputError
from crispmap.project.demo import run_demo
from crispmap.project.file import load_project
from crispmap.project.results import RETHRESHOLDED
from crispmap.project.run import COARSE, FINETUNED, REFINED
from recorder import Recorder


@pytest.mark.parametrize("papers", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_demo_leaves_a_project_a_person_can_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, papers: bool
) -> None:
    short = "max_steps: 4, batch: 2, patch_px: 32"
    default = demo_module._DEFAULT.replace("lite0, preset: fast", f"lite0, depth: 3, {short}")
    refiner = "rnn, iterations: 2, max_steps: 4, batch: 2, patch_px: 24"
    hurried = demo_module._PAPERS.replace("1.0, preset: fast", f"1.0, {short}")
    hurried = hurried.replace("rnn, variant: class-specific, iterations: 5, preset: fast", refiner)
    default = default.replace("true", "{max_steps: 2}").replace("rnn, preset: fast", refiner)
    monkeypatch.setattr(demo_module, "_DEFAULT", default)
    monkeypatch.setattr(demo_module, "_PAPERS", hurried)
    recorder = Recorder()
    made = run_demo(tmp_path / "demo", papers=papers, size_px=(320, 800), events=recorder)
    assert len(recorder.notes) >= 5
    titles = [task.title for task in recorder.tasks]
    assert titles[: 2 if papers else 3] == ["coarse network", *([] if papers else ["fine-tuning"]), "refiner"]
    assert titles.count("evaluation") == 1
    stages = ["train the coarse network", *([] if papers else ["fine-tune the network"]), "train the refiner"]
    assert list(made.timings) == ["generate the town", *stages, "map the town"]
    assert list(made.results.methods) == [COARSE, RETHRESHOLDED, *([] if papers else [FINETUNED]), REFINED]
    assert 0 < made.results.methods[REFINED].mean_iou < 1
    assert made.products.report.stat().st_size > 50_000
    project = load_project(tmp_path / "demo")
    assert set(project.scenes[0].areas) == {"coarse", "refiner", "validation", "test"}
    with pytest.raises(OutputError, match="force"):
        run_demo(tmp_path / "demo", size_px=(320, 800))
