"""The demo on a small town."""

from __future__ import annotations

from pathlib import Path

import pytest

import crispmap.project.demo as demo_module
from crispmap.errors import OutputError
from crispmap.project.demo import run_demo
from crispmap.project.file import load_project
from crispmap.project.results import REFINED
from recorder import Recorder


def test_the_demo_leaves_a_project_a_person_can_go_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = demo_module._PROJECT.replace(
        "gsd_m: 1.0, preset: fast", "gsd_m: 1.0, max_steps: 4, batch: 2, patch_px: 32"
    )
    hurried = hurried.replace("iterations: 5, preset: fast", "iterations: 2, max_steps: 4, batch: 2, patch_px: 24")
    monkeypatch.setattr(demo_module, "_PROJECT", hurried)
    recorder = Recorder()
    made = run_demo(tmp_path / "demo", size_px=(320, 800), events=recorder)
    assert len(recorder.notes) >= 5
    assert [task.title for task in recorder.tasks] == ["coarse network", "refiner", "map", "evaluation", "iterations"]
    assert list(made.timings) == [
        "generate the town", "train the coarse network", "train the refiner", "map the town"
    ]  # fmt: skip
    assert 0 < made.results.methods[REFINED].mean_iou < 1
    assert made.products.report.stat().st_size > 50_000
    project = load_project(tmp_path / "demo")
    assert set(project.scenes[0].areas) == {"coarse", "refiner", "validation", "test"}
    with pytest.raises(OutputError, match="force"):
        run_demo(tmp_path / "demo", size_px=(320, 800))
