"""``compare``: methods side by side on the small town, from project file to table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from project_text import change
from typer.testing import CliRunner, Result

from crispmap.classes import ClassSchema
from crispmap.cli.main import app
from crispmap.errors import CrispmapError, InputError, OutputError, ProjectError
from crispmap.evaluation.files import ScoringRules, evaluate_file
from crispmap.evaluation.recalibration import apply_biases
from crispmap.models.device import choose_device
from crispmap.models.file import read_card
from crispmap.project.compare import comparison as made
from crispmap.project.compare import report
from crispmap.project.compare.comparison import Comparison, Failure, Seeds, compare_methods
from crispmap.project.compare.mapping import MapOrder, MappingCost, map_apart, map_here
from crispmap.project.compare.methods import Method, default_methods, missing_for, own_method, parse_methods
from crispmap.project.compare.models import models_of, opened_coarse, train_missing
from crispmap.project.compare.record import read_record
from crispmap.project.compare.report import write_comparison_report
from crispmap.project.compare.rows import table_of
from crispmap.project.file import load_project
from crispmap.training import grid_fit, svm
from crispmap.training.options import TrainerOptions
from crispmap.types import IGNORE, LabelArray
from recorder import Recorder

METHODS = ["svm", "fcn-rnn", "heat", "rnn"]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in args])


def mean_iou_of(labels: LabelArray, reference: LabelArray) -> float:
    """Return the mean IoU over the three classes, by counting sets of pixels."""
    labels, reference = labels[reference != IGNORE], reference[reference != IGNORE]
    pairs = [(labels == k, reference == k) for k in range(3)]
    return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs]))


def untrained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let no method learn anything; return the names of those that would have, filled as they are asked to."""
    begun: list[str] = []

    def begins(method: Method, *_: Any) -> None:
        begun.append(method.name)
        raise RuntimeError("stopped here")

    monkeypatch.setattr(made, "train_missing", begins)
    return begun


@pytest.fixture(scope="module", params=[pytest.param(None, marks=pytest.mark.slow, id="of the town")])
def compared(town: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    """The small town seen at 1 m, with four methods compared on it."""
    folder = tmp_path_factory.mktemp("compared")
    text = (town / "project.yaml").read_text()
    for name in ("scene.tif", "osm.gpkg", "truth.tif"):
        text = text.replace(name, str(town / name))
    (folder / "project.yaml").write_text(text.replace("scene.tif}", "scene.tif, gsd_m: 1.0}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svm, "COSTS", (1.0,))
        patch.setattr(svm, "WIDTHS", (1.0,))
        patch.setattr(made, "map_apart", map_here)  # starting a process takes longer than the map of a hamlet
        return folder, compare_methods(folder, methods=METHODS)


@pytest.mark.usefixtures("compared")
class TestFigures:
    def test_every_method_is_finished_under_its_name(self, compared: tuple[Path, Comparison]) -> None:
        names = [method.name for method in compared[1].finished]
        assert names == ["svm", "fcn-rnn", "fcn-rnn+heat", "fcn-rnn+rnn"]
        assert compared[1].failures == {}

    def test_figures_are_those_of_the_map_that_lies_there(self, compared: tuple[Path, Comparison], town: Path) -> None:
        project = load_project(compared[0])
        for method, record in compared[1].finished.items():
            path = compared[1].root / method.name / "map.tif"
            again = evaluate_file(path, town / "truth.tif", ScoringRules(project.schema))
            # The map is cut out of the scene: at the rim of the cut outlines are the same, as unknown ground has none.
            assert again.to_dict()["classes"] == record.scores.evaluation.to_dict()["classes"]

    def test_blocks_sum_to_the_confusion_matrix(self, compared: tuple[Path, Comparison]) -> None:
        for record in compared[1].finished.values():
            for scores in filter(None, (record.scores, record.rethresholded)):
                assert np.array_equal(scores.blocks.sum(axis=0), scores.evaluation.confusion.counts)

    def test_coarse_networks_have_a_rethresholded_map_at_least_as_good_where_it_was_fitted(
        self, compared: tuple[Path, Comparison]
    ) -> None:
        for method, record in compared[1].finished.items():
            assert (record.rethresholded is not None) == (method.refiner is None)
            assert len(record.biases) == (3 if method.refiner is None else 0)
            if method.refiner is None:
                with opened_coarse(method, compared[1].project, compared[1].root, "cpu") as opened:
                    sources, scores = opened
                    (piece,) = sources.pieces("refiner")
                    reference = piece.labels.read(piece.area.block)
                    values, _ = scores.on(piece.image, None).read(piece.area.block)
                with_biases, without = (
                    mean_iou_of(apply_biases(values, biases), reference) for biases in (record.biases, (0.0, 0.0, 0.0))
                )
                assert with_biases >= without

    def test_the_last_step_is_the_map_and_the_first_the_coarse_one(self, compared: tuple[Path, Comparison]) -> None:
        finished = {method.name: record for method, record in compared[1].finished.items()}
        for name in ("fcn-rnn+heat", "fcn-rnn+rnn"):
            steps = finished[name].steps
            # Engines round differently: a few pixels of 16,000 may change sides.
            assert steps["test"][-1] == pytest.approx(finished[name].scores.evaluation.mean_iou, abs=2e-3)
            assert steps["test"][0] == pytest.approx(finished["fcn-rnn"].scores.evaluation.mean_iou, abs=2e-3)
            assert len(steps["training"]) == len(steps["test"]) >= 2

    def test_costs_are_those_of_the_models(self, compared: tuple[Path, Comparison]) -> None:
        finished = {method.name: record for method, record in compared[1].finished.items()}
        coarse = finished["fcn-rnn"].parameters["coarse"]
        assert finished["fcn-rnn+heat"].parameters == {"coarse": coarse, "refiner": 3}  # steps, and two biases
        rnn = 32 * 25 + 32 * 4 * 25 + 3 * (32 * 64 + 32 + 32 + 1)
        assert finished["fcn-rnn+rnn"].parameters["refiner"] == rnn
        for method, record in compared[1].finished.items():
            assert record.mapping.pixels >= 160 * 100
            assert record.mapping.peak_mib > 50  # of this whole process here; bounded where it has one of its own
            card = read_card(compared[1].root / method.coarse / "coarse.safetensors")
            assert record.training_s["coarse"] == card.provenance["seconds"]

    def test_the_report_shows_how_probable_each_network_finds_each_class(
        self, compared: tuple[Path, Comparison], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[Any] = []
        monkeypatch.setattr(report, "write_comparison", lambda path, data, force: given.append(data))
        write_comparison_report(compared[1], table_of(compared[1]))
        assert given[0].strips
        for strip in given[0].strips:
            assert list(strip.activations) == ["svm", "fcn-rnn"]  # a refiner's are those of its network
            for name, by_class in strip.activations.items():
                shares = np.stack(list(by_class.values()))
                assert list(by_class) == list(given[0].schema.names)
                np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
                # Engines round differently: a few pixels may change sides.
                assert (shares.argmax(axis=0) == strip.maps[name]).mean() > 0.99

    def test_the_table_has_a_row_a_map_and_a_difference_to_the_own_method(
        self, compared: tuple[Path, Comparison]
    ) -> None:
        table = table_of(compared[1])
        assert [row.name for row in table.rows] == [
            "svm", "svm, re-thresholded", "fcn-rnn", "fcn-rnn, re-thresholded", "fcn-rnn+heat", "fcn-rnn+rnn",
        ]  # fmt: skip
        assert table.own == "fcn-rnn+rnn"
        own = table.rows[-1]
        for row in table.rows[:-1]:
            assert row.ahead is not None
            assert row.ahead.value == pytest.approx(row.mean_iou.value - own.mean_iou.value)
            assert row.mean_iou.low <= row.mean_iou.high
        assert own.ahead is None


class TestAgain:
    def test_what_is_finished_is_not_made_again(self, compared: tuple[Path, Comparison]) -> None:
        folder, first = compared
        before = {path: path.stat().st_mtime_ns for path in first.root.rglob("*") if path.is_file()}
        again = compare_methods(folder, methods=METHODS)
        assert again.resumed == tuple(method.name for method in first.finished)
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert [row.to_dict() for row in table_of(again).rows] == [row.to_dict() for row in table_of(first).rows]

    def test_one_interrupted_half_way_goes_on(
        self, compared: tuple[Path, Comparison], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, first = compared
        figures = first.root / "fcn-rnn+rnn" / "figures.json"
        before, model = json.loads(figures.read_text()), first.root / "fcn-rnn+rnn" / "refiner.safetensors"
        figures.unlink()
        trained = model.stat().st_mtime_ns
        calls = []

        def interrupted(order: MapOrder) -> MappingCost:
            calls.append(order)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(made, "map_apart", interrupted)
            with pytest.raises(KeyboardInterrupt):
                compare_methods(folder, methods=METHODS)
        assert not figures.exists()
        assert not list(figures.parent.glob(".scores.*"))
        again = compare_methods(folder, methods=METHODS)  # in a process of its own, with the same result
        assert len(calls) == 1
        assert again.resumed == ("svm", "fcn-rnn", "fcn-rnn+heat")
        assert model.stat().st_mtime_ns == trained
        after = json.loads(figures.read_text())
        assert after["scores"] == before["scores"]
        assert 50 < after["mapping"]["peak_mib"] < 4000

    def test_figures_that_cannot_be_read_are_made_again(
        self, compared: tuple[Path, Comparison], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, first = compared
        monkeypatch.setattr(made, "map_apart", map_here)
        figures = first.root / "fcn-rnn" / "figures.json"
        before = figures.read_text()
        figures.write_text(before[: len(before) // 2])
        assert read_record(figures.parent) is None
        assert compare_methods(folder, methods=["fcn-rnn"]).resumed == ()
        assert json.loads(figures.read_text())["scores"] == json.loads(before)["scores"]

    def test_other_settings_are_refused_until_forced(self, compared: tuple[Path, Comparison]) -> None:
        folder, first = compared
        with pytest.raises(OutputError, match="something else: seed differ"):
            compare_methods(folder, methods=["fcn-rnn+heat"], seeds=Seeds(11))
        text = (folder / "project.yaml").read_text()
        (folder / "project.yaml").write_text(text.replace("max_steps: 12", "max_steps: 13"))
        try:
            with pytest.raises(OutputError, match="settings differ"):
                compare_methods(folder, methods=["rnn"])
            kept = compare_methods(folder, methods=["svm"])  # which has nothing to do with these steps
            assert kept.resumed == ("svm",)
        finally:
            (folder / "project.yaml").write_text(text)
        assert (first.root / "fcn-rnn" / "figures.json").exists()


class TestSeeds:
    def test_every_seed_has_its_own_methods_and_all_are_in_one_table(self, compared: tuple[Path, Comparison]) -> None:
        folder, first = compared
        names = ["fcn-rnn", "fcn-rnn+heat"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(made, "map_apart", map_here)
            outcome = compare_methods(folder, methods=names, seeds=Seeds(count=2))
        (again,) = outcome.repeats
        assert again.project.seed == first.project.seed + 1
        assert again.root == folder / "results" / "compare" / "seeds" / str(again.project.seed)
        assert set(outcome.resumed) == set(names)
        table = table_of(outcome)
        rows = {row.name: row for row in table.seeds}
        assert set(rows) == {row.name for row in table.rows}
        for row in table.rows:
            assert rows[row.name].mean_iou[0] == row.evaluation.mean_iou
        method = Method("fcn-rnn")
        records = [one.finished[method] for one in (outcome, again)]
        assert rows["fcn-rnn"].mean_iou == tuple(one.scores.evaluation.mean_iou for one in records)
        assert records[0].models != records[1].models
        report = write_comparison_report(outcome, table).read_text()
        assert "Over 2 seeds" in report
        told = json.loads(run("compare", folder, "--methods", ",".join(names), "--seeds", "2", "--json").stdout)
        assert [one["name"] for one in told["over_seeds"]] == list(rows)

    def test_one_seed_has_no_such_table(self, compared: tuple[Path, Comparison]) -> None:
        assert table_of(compared[1]).seeds == ()

    @pytest.mark.parametrize("seeds", [Seeds(count=0), Seeds(first=2**32 - 1, count=2), Seeds(first=-1)])
    def test_seeds_that_are_none(self, project: Path, seeds: Seeds) -> None:
        with pytest.raises(InputError):
            compare_methods(project, methods=["fcn-rnn"], seeds=seeds)


class TestFailures:
    def test_a_second_comparison_at_the_same_time_is_refused(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []

        def meanwhile(*_: Any) -> None:
            with pytest.raises(OutputError, match="compare is being written by another run"):
                compare_methods(project, methods=["heat"])
            seen.append("refused")
            raise RuntimeError("stopped here")

        monkeypatch.setattr(made, "train_missing", meanwhile)
        compare_methods(project, methods=["fcn-rnn"])
        assert seen == ["refused"]
        monkeypatch.setattr(made, "train_missing", lambda *_: seen.append("free"))
        compare_methods(project, methods=["fcn-rnn"])
        assert "free" in seen

    def test_a_folder_that_cannot_be_written(self, project: Path) -> None:
        (load_project(project).output_folder).mkdir(parents=True, exist_ok=True)
        (load_project(project).output_folder / "compare").write_text("not a folder")
        with pytest.raises(OutputError, match="compare"):
            compare_methods(project, methods=["fcn-rnn"])

    def test_a_method_that_fails_is_a_row_and_the_others_go_on(self, project: Path) -> None:
        text = project.read_text()
        assert "osm: building}" in text
        project.write_text(
            text.replace("osm: building}", "osm: water}").replace("scene.tif}", "scene.tif, gsd_m: 1.0}")
        )
        said = run("compare", project, "--methods", "svm,svm+heat", "--json")
        assert said.exit_code == 1
        told = json.loads(said.stdout)
        assert told["best"] is None
        assert told["rows"] == []
        assert [one["name"] for one in told["missing"]] == ["svm", "svm+heat"]
        assert "class 'building'" in told["missing"][0]["failed"]
        assert told["missing"][1]["failed"].startswith("Its coarse network failed: ")
        assert "\nerror: " in f"\n{said.stderr}"

    def test_a_process_that_fails_is_told_in_its_own_words(self, compared: tuple[Path, Comparison]) -> None:
        folder = str(compared[0] / "project.yaml")
        with pytest.raises(CrispmapError, match=r"gone\.safetensors"):
            map_apart(MapOrder(folder, {"coarse": str(compared[0] / "gone.safetensors")}, str(compared[0])))

    def test_what_is_no_error_of_ours_is_told_by_its_type(
        self, compared: tuple[Path, Comparison], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError("lost\n  the thread")

        monkeypatch.setattr(made, "train_missing", broken)
        outcome = compare_methods(compared[0], methods=["fcn-rnn", "fcn-rnn+geodesic"])
        assert outcome.outcomes[Method("fcn-rnn", "geodesic")] == Failure("RuntimeError: lost the thread")
        assert [method.name for method in outcome.finished] == ["fcn-rnn"]
        said = run("compare", compared[0], "--methods", "fcn-rnn,geodesic")
        assert said.exit_code == 0
        assert "Failed: fcn-rnn+geodesic" in said.stderr
        assert "fcn-rnn+geodesic  failed: RuntimeError" in said.stdout


class TestBeforeAnyTraining:
    """What cannot be made is told before the first training, and the others go on."""

    def test_a_refiner_whose_ground_lacks_a_class(
        self, project: Path, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change(project, ("truth.tif}", "truth.gpkg, layer: buildings}"))
        begun, recorder = untrained(monkeypatch), Recorder()
        outcome = compare_methods(project, methods=["fcn-rnn", "crf", "heat", "rnn"], events=recorder)
        reasons = {method.refiner: failure.reason for method, failure in outcome.failures.items()}
        assert reasons.pop(None) == "RuntimeError: stopped here"
        assert all("The training area has no pixel of class 'road'" in reason for reason in reasons.values())
        assert reasons["crf"].startswith("The refiner cannot be trained on areas: refiner: of project.yaml. ")
        assert begun == ["fcn-rnn"]
        assert [line.split(":")[0] for line in recorder.notes[:4]] == [
            "fcn-rnn+crf",
            "fcn-rnn+heat",
            "fcn-rnn+rnn",
            "fcn-rnn",
        ]

    def test_a_support_vector_machine_of_one_class(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        change(project, ("window: [0, 0, 320, 400]", "window: [0, 0, 80, 80]"))
        begun = untrained(monkeypatch)
        outcome = compare_methods(project, methods=["svm", "fcn-rnn", "svm+crf", "crf"])
        lack = "on areas: coarse: of project.yaml. The training area has no pixel of class 'building' or 'road'."
        assert [failure.reason for failure in outcome.failures.values()] == [
            f"svm cannot be trained {lack}",
            f"fcn-rnn cannot be trained {lack}",
            f"Its coarse network failed: svm cannot be trained {lack}",
            f"Its coarse network failed: fcn-rnn cannot be trained {lack}",
        ]
        assert begun == []

    def test_a_class_too_rare_for_a_support_vector_machine_alone(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change(project, ("window: [0, 0, 320, 400]", "window: [30, 220, 80, 80]"))
        begun = untrained(monkeypatch)
        outcome = compare_methods(project, methods=["fcn-rnn", "svm"])
        assert "too few labelled pixels: 1 of class 'road'" in outcome.failures[Method("svm")].reason
        assert begun == ["fcn-rnn"]

    def test_patches_larger_than_their_ground(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        change(project, ("patch_px: 24", "patch_px: 240"))
        begun = untrained(monkeypatch)
        outcome = compare_methods(project, methods=["fcn-rnn", "rnn"])
        assert "smaller than a patch of 240 pixels" in outcome.failures[Method("fcn-rnn", "rnn")].reason
        change(project, ("patch_px: 32", "patch_px: 640"))
        outcome = compare_methods(project, methods=["mnih", "svm"], force=True)
        assert "smaller than a patch of 640 pixels" in outcome.failures[Method("mnih")].reason
        assert begun == ["fcn-rnn", "svm"]

    def test_the_preset_of_a_paper_for_a_refiner_of_none(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        change(project, ("refiner: {iterations: 2,", "refiner: {preset: paper, iterations: 2,"))
        begun = untrained(monkeypatch)
        outcome = compare_methods(project, methods=["rnn", "wide"])
        reason = "The project's refiner has preset: paper; wide has fast."
        assert outcome.outcomes[Method("fcn-rnn", "wide")] == Failure(reason, skipped=True)
        assert begun == ["fcn-rnn"]
        change(project, ("preset: paper", "preset: fast"))
        assert missing_for(Method("fcn-rnn", "wide"), load_project(project)) == ""

    @pytest.mark.parametrize("role", ["refiner", "test"])
    def test_a_project_without_ground_of_a_role(
        self, project: Path, role: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = load_project(project)
        (scene,) = whole.scenes
        areas = {name: pieces for name, pieces in scene.areas.items() if name != role}
        part = replace(whole, scenes=(replace(scene, areas=areas),))
        change(project, (f"  {role}: [", f"  # {role}: ["))
        with pytest.raises(ProjectError, match=f"areas.{role} is missing"):
            compare_methods(project)
        monkeypatch.setattr(made, "load_project", lambda _: part)  # no file can say so, but a caller can
        begun = untrained(monkeypatch)
        with pytest.raises(ProjectError, match=f"names no {role} area, so methods cannot be compared"):
            compare_methods(project, methods=["fcn-rnn"])
        assert begun == []


class TestModels:
    def test_a_refiner_is_fitted_on_the_device_asked_for(
        self, compared: tuple[Path, Comparison], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        devices: list[str] = []

        def fit(*_: Any, device: str = "none given", **__: Any) -> None:
            devices.append(device)
            raise KeyboardInterrupt

        project, coarse = compared[1].project, Path("fcn-rnn") / "coarse.safetensors"
        (tmp_path / coarse).parent.mkdir()
        (tmp_path / coarse).write_bytes((compared[1].root / coarse).read_bytes())
        monkeypatch.setattr(grid_fit, "fit_refiner", fit)
        for name in ("crf", "heat"):
            for device in ("cpu", "auto"):
                with pytest.raises(KeyboardInterrupt):
                    train_missing(Method("fcn-rnn", name), project, tmp_path, TrainerOptions(device))
        here = str(choose_device("auto"))  # fits know no "auto"
        assert devices == ["cpu", here, "cpu", here]

    def test_a_method_has_the_models_that_it_needs(self, compared: tuple[Path, Comparison]) -> None:
        models = models_of(Method("fcn-rnn", "heat"), compared[1].root)
        kinds = {name: read_card(path).kind for name, path in models.items()}
        assert kinds == {"coarse": "coarse", "refiner": "refiner"}

    def test_cards_of_trained_and_fitted_models_tell_the_same_versions(self, compared: tuple[Path, Comparison]) -> None:
        for name in ("heat", "rnn"):
            card = read_card(models_of(Method("fcn-rnn", name), compared[1].root)["refiner"])
            assert {"project", "seed", "crispmap", "torch", "seconds", "settings", "class_biases"} <= set(
                card.provenance
            )
            assert card.provenance["torch"] == torch.__version__


class TestReport:
    def test_without_a_finished_method_there_is_none(self, compared: tuple[Path, Comparison], tmp_path: Path) -> None:
        nothing = replace(compared[1], root=tmp_path, outcomes={Method("svm"): Failure("It failed.")})
        with pytest.raises(InputError, match="No method of the comparison is finished"):
            write_comparison_report(nothing, table_of(nothing))
        assert list(tmp_path.iterdir()) == []

    def test_it_computes_on_the_device_asked_for(
        self, compared: tuple[Path, Comparison], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def opened(*arguments: Any) -> None:
            asked.append(arguments[-1])
            raise KeyboardInterrupt

        monkeypatch.setattr(report, "opened_coarse", opened)
        on_cpu = compare_methods(compared[0], methods=["fcn-rnn"], trainer=TrainerOptions("cpu"))
        with pytest.raises(KeyboardInterrupt):
            write_comparison_report(on_cpu, table_of(on_cpu))
        assert asked == ["cpu"]


class TestBadInput:
    def test_methods_that_are_none(self, compared: tuple[Path, Comparison]) -> None:
        for names in ("svnm", "svm+", "+rnn", "rnn+svm", "svm+rnn+crf", ","):
            said = run("compare", compared[0], "--methods", names)
            assert said.exit_code == 2, names
            assert "Expected: a coarse network" in said.stderr

    def test_a_project_without_reference(self, project: Path) -> None:
        lines = project.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(("reference:", "refiner:", "  refiner:", "  test:"))]
        project.write_text("\n".join(kept))
        with pytest.raises(ProjectError, match="names no reference, so methods cannot be compared"):
            compare_methods(project)

    def test_a_project_with_scores_of_another_tool_and_no_labels_leaves_networks_out(
        self, project: Path, compared: tuple[Path, Comparison]
    ) -> None:
        text = project.read_text()
        scores = compared[1].root.parent / "given.tif"
        scores.write_bytes(b"")
        lines = [
            f"coarse: {{scores: {{path: {scores}}}}}" if line.startswith("coarse:") else line
            for line in text.splitlines()
            if not line.startswith(("labels:", "  coarse:"))
        ]
        project.write_text("\n".join(lines))
        given = load_project(project)
        methods = default_methods(given)
        assert [method.name for method in methods][:4] == ["mnih", "svm", "given", "given+rnn-agnostic"]
        lacking = {method.name for method in methods if missing_for(method, given)}
        assert lacking == {"svm", "mnih"}
        assert own_method(given) == Method("given", "rnn")
        assert "names no labels, so svm cannot be trained" in missing_for(Method("svm"), given)
        with pytest.raises(InputError, match="There is no method"):
            parse_methods(["givn"], given)


def test_the_verb_prints_tables_json_and_markdown(compared: tuple[Path, Comparison]) -> None:
    names = ",".join(METHODS)
    plain = run("compare", compared[0], "--methods", names)
    assert plain.exit_code == 0, plain.output
    assert "Best by mean IoU: " in plain.stdout
    told = json.loads(run("compare", compared[0], "--methods", names, "--json").stdout)
    best = max(told["rows"], key=lambda row: row["mean_iou"]["value"])
    assert told["best"] == best["name"]
    assert f"{100 * best['mean_iou']['value']:.2f}" in plain.stdout
    markdown = run("compare", compared[0], "--methods", names, "--markdown").stdout
    assert markdown.count("| svm, re-thresholded |") == 4
    schema: ClassSchema = load_project(compared[0]).schema
    assert all(f"IoU {name}" in markdown for name in schema.names)
