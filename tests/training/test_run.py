"""Trainings: interrupted or not, they end in the same weights; what cannot work is refused before it begins."""

from __future__ import annotations

import csv
import errno
import itertools
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from crispmap.data.patches import ArrayPatches
from crispmap.errors import LabelError, ModelError, OutputError, TrainingError
from crispmap.models.registry import architectures
from crispmap.models.settings import AUGMENTATIONS
from crispmap.refiners.rnn.refiner import VARIANTS, RecurrentRefiner
from crispmap.training import loop
from crispmap.training.checkpoint import load_tree, load_weights, save_tree
from crispmap.training.folder import TrainingFolder
from crispmap.training.options import TrainerOptions
from crispmap.training.task import CoarseTask, RefinerTask, SegmentationTask
from crispmap.types import IGNORE
from recorder import Recorder

pytestmark = pytest.mark.usefixtures("one_thread")


def run(task: SegmentationTask, folder: Path, **arguments):
    return tiny.train(task, [tiny.ground(0)], [tiny.ground(1)], folder, **arguments)


EVERY_WAY = "+".join(AUGMENTATIONS)


def stop_at(step: int, error: type[BaseException] = KeyboardInterrupt):
    def watch(done: int) -> None:
        if done == step:
            raise error

    return Recorder(watch)


def assert_same_state(folder: Path, other: Path) -> None:
    """Weights, optimiser, schedule and history agree to the last bit; only the clock may differ."""
    states = [load_tree(one / "last.safetensors") for one in (folder, other)]
    for state in states:
        state["seconds"] = 0
        for row in state["history"]:
            row["seconds"] = 0
    assert_equal(*states)
    assert (folder / "best.safetensors").read_bytes() == (other / "best.safetensors").read_bytes()


def assert_equal(a, b) -> None:
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    else:
        assert a == b


class TestResume:
    @pytest.mark.parametrize(
        ("make", "changes"),
        [
            (tiny.coarse_task, {}),
            (tiny.coarse_task, {"precision": "bfloat16"}),
            (tiny.coarse_task, {"optimizer": "adagrad", "schedule": "cosine", "gradient_clip": 0.0}),
            (tiny.coarse_task, {"augmentation": EVERY_WAY}),
            (tiny.refiner_task, {"augmentation": EVERY_WAY}),
            (tiny.refiner_task, {}),
            (tiny.refiner_task, {"optimizer": "sgd", "schedule": "constant", "sampling": "uniform"}),
        ],
        ids=lambda value: getattr(value, "__name__", str(value)),
    )
    def test_interrupted_and_resumed_equals_uninterrupted(self, make, changes, tmp_path):
        whole = run(make(**changes), tmp_path / "whole")
        for step in (10, 30, 50):
            with pytest.raises(KeyboardInterrupt):
                run(make(**changes), tmp_path / "parts", resume=True, events=stop_at(step))
        parts = run(make(**changes), tmp_path / "parts", resume=True)
        assert_same_state(tmp_path / "whole", tmp_path / "parts")
        assert parts.best_score == whole.best_score
        assert parts.steps == whole.steps == 50

    def test_listeners_learn_what_was_measured_before_an_interruption_too(self, tmp_path):
        whole, parts = Recorder(), Recorder()
        run(tiny.coarse_task(), tmp_path / "whole", events=whole)
        with pytest.raises(KeyboardInterrupt):
            run(tiny.coarse_task(), tmp_path / "parts", events=stop_at(30))
        run(tiny.coarse_task(), tmp_path / "parts", resume=True, events=parts)

        def without_time(recorder):
            return [(at, {**figures, "seconds": 0}) for at, figures in recorder.last.measured]

        assert without_time(parts) == without_time(whole)
        assert {"loss", "val_mean_iou"} <= {name for _, figures in whole.last.measured for name in figures}
        history = (tmp_path / "whole" / "history.csv").read_text().splitlines()
        assert len(whole.last.measured) == len(history) - 1

    def test_stopped_in_the_midst_of_its_schedule_it_has_the_weights_of_that_step(self, tmp_path):
        task, kept = tiny.coarse_task(), {}

        def keep(done: int) -> None:
            if done == 30:
                kept.update({name: one.clone() for name, one in task.network.state_dict().items()})

        run(task, tmp_path / "whole", events=Recorder(keep))
        early = tiny.coarse_task(stop_after=30, keep_last=True)
        result = run(early, tmp_path / "early")
        assert (result.steps, result.best_step) == (30, 30)
        assert_equal(dict(early.network.state_dict()), kept)
        assert run(early, tmp_path / "early", resume=True) == result

    def test_the_best_step_is_that_of_the_highest_score(self, tmp_path):
        result = run(tiny.coarse_task(), tmp_path)
        scores = {row["step"]: row["val_mean_iou"] for row in result.history if "val_mean_iou" in row}
        assert list(scores) == [20, 40, 50]
        assert scores[result.best_step] == max(scores.values()) == result.best_score

    def test_the_last_weights_are_kept_if_so_asked_however_they_do(self, tmp_path):
        task = tiny.coarse_task(
            keep_last=True, learning_rate=1.0, gradient_clip=0.0, optimizer="sgd", schedule="constant"
        )
        result = run(task, tmp_path)
        scores = {row["step"]: row["val_mean_iou"] for row in result.history if "val_mean_iou" in row}
        assert result.best_step == 50
        assert result.best_score == scores[50] < max(scores.values())
        assert_equal(dict(task.network.state_dict()), load_tree(tmp_path / "last.safetensors")["network"])

    @pytest.mark.parametrize(("signum", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
    def test_signalled_training_resumes(self, signum, error, tmp_path):
        def signal_itself(done: int) -> None:
            if done == 30:
                os.kill(os.getpid(), signum)

        with pytest.raises(error) as stopped:
            run(tiny.coarse_task(), tmp_path / "parts", events=Recorder(signal_itself))
        if error is SystemExit:
            assert stopped.value.code == 143
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert load_tree(tmp_path / "parts" / "last.safetensors")["global_step"] == 20
        run(tiny.coarse_task(), tmp_path / "parts", resume=True)
        run(tiny.coarse_task(), tmp_path / "whole")
        assert_same_state(tmp_path / "whole", tmp_path / "parts")

    @pytest.mark.parametrize("stopped_at", [7, 12, 19, 20, 33, 49])
    def test_a_state_of_every_minute_is_gone_on_from(self, stopped_at, tmp_path, monkeypatch):
        """Where a state is written before every step, one is written, and no weight, score or loss depends on it."""
        run(tiny.coarse_task(log_every=4), tmp_path / "whole")
        clock = itertools.count(step=loop.STATE_EVERY_S + 1)
        monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        kept = TrainingFolder.write_state

        def stop(folder: TrainingFolder, state: Mapping[str, Any]) -> None:
            kept(folder, state)
            if state["global_step"] == stopped_at:
                raise KeyboardInterrupt

        with monkeypatch.context() as stopping:
            stopping.setattr(TrainingFolder, "write_state", stop)
            with pytest.raises(KeyboardInterrupt):
                run(tiny.coarse_task(log_every=4), tmp_path / "parts")
        assert load_tree(tmp_path / "parts" / "last.safetensors")["global_step"] == stopped_at
        run(tiny.coarse_task(log_every=4), tmp_path / "parts", resume=True)
        assert_same_state(tmp_path / "whole", tmp_path / "parts")

    def test_killed_process_resumes(self, tmp_path):
        script = Path(__file__).with_name("interrupted.py")
        path = os.pathsep.join([str(script.parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}
        command = [sys.executable, str(script), str(tmp_path / "parts")]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            while (line := child.stdout.readline()) and int(line) < 30:
                pass
            child.kill()
            _, errors = child.communicate(timeout=60)
        assert (child.returncode, errors) == (-signal.SIGKILL, "")
        assert load_tree(tmp_path / "parts" / "last.safetensors")["global_step"] == 20
        run(tiny.coarse_task(), tmp_path / "parts", resume=True)
        run(tiny.coarse_task(), tmp_path / "whole")
        assert_same_state(tmp_path / "whole", tmp_path / "parts")

    def test_a_finished_training_returns_its_result_at_once(self, tmp_path):
        first = run(tiny.coarse_task(), tmp_path)
        written = (tmp_path / "last.safetensors").stat().st_mtime_ns
        task = tiny.coarse_task()
        again = run(task, tmp_path, resume=True, events=stop_at(0, AssertionError))
        assert again == first
        assert (tmp_path / "last.safetensors").stat().st_mtime_ns == written
        best = tiny.TinyNetwork(seed=5)
        load_weights(best, again.best_path)
        assert_equal(dict(task.network.state_dict()), dict(best.state_dict()))

    def test_resume_without_a_training_begins_one(self, tmp_path):
        assert run(tiny.coarse_task(max_steps=3), tmp_path, resume=True).steps == 3

    @pytest.mark.parametrize(
        ("changes", "told"),
        [({"learning_rate": 0.5}, "learning_rate was 0.01 and is 0.5"), ({"batch": 4}, "batch was 2 and is 4")],
    )
    def test_other_settings_are_refused_by_name(self, changes, told, tmp_path):
        run(tiny.coarse_task(max_steps=3), tmp_path)
        with pytest.raises(TrainingError, match=told):
            run(tiny.coarse_task(max_steps=3, **changes), tmp_path, resume=True)

    def test_other_ground_or_another_network_is_refused(self, tmp_path):
        run(tiny.coarse_task(max_steps=3), tmp_path)
        task = tiny.coarse_task(max_steps=3)
        with pytest.raises(TrainingError, match="training data was"):
            tiny.train(task, [tiny.ground(7)], [tiny.ground(1)], tmp_path, resume=True)
        with pytest.raises(TrainingError, match="validation data was"):
            tiny.train(task, [tiny.ground(0)], [tiny.ground(7)], tmp_path, resume=True)
        with pytest.raises(TrainingError, match="network was"):
            run(tiny.refiner_task(max_steps=3), tmp_path, resume=True)

    def test_how_often_is_logged_may_change(self, tmp_path):
        run(tiny.coarse_task(max_steps=3), tmp_path)
        run(tiny.coarse_task(max_steps=3, log_every=1, validate_tile_px=16), tmp_path, resume=True)

    def test_killed_before_the_first_state_was_whole(self, tmp_path):
        run(tiny.coarse_task(max_steps=3), tmp_path)
        (tmp_path / "last.safetensors").unlink()
        with pytest.raises(OutputError, match="already has"):
            run(tiny.coarse_task(max_steps=3), tmp_path)
        assert run(tiny.coarse_task(max_steps=3), tmp_path, resume=True).steps == 3

    def test_a_damaged_checkpoint_is_told(self, tmp_path):
        run(tiny.coarse_task(max_steps=3), tmp_path)
        last = tmp_path / "last.safetensors"
        last.write_bytes(last.read_bytes()[:-10])
        with pytest.raises(ModelError, match="cannot be read"):
            run(tiny.coarse_task(max_steps=3), tmp_path, resume=True)
        save_tree({"something": "else"}, last)
        with pytest.raises(ModelError, match="written by a training"):
            run(tiny.coarse_task(max_steps=3), tmp_path, resume=True)

    def test_a_state_of_an_earlier_version_is_refused(self, tmp_path):
        save_tree({"callbacks": {"Keeper": {}}, "global_step": 3}, tmp_path / "last.safetensors")
        with pytest.raises(ModelError, match="earlier version") as refused:
            run(tiny.coarse_task(max_steps=3), tmp_path, resume=True)
        assert refused.value.remedy == "train again with force=True"
        assert run(tiny.coarse_task(max_steps=3), tmp_path, force=True).steps == 3

    def test_a_training_is_overwritten_only_by_force(self, tmp_path):
        run(tiny.coarse_task(max_steps=3), tmp_path)
        before = (tmp_path / "last.safetensors").read_bytes()
        with pytest.raises(OutputError, match="already has"):
            run(tiny.coarse_task(max_steps=4), tmp_path)
        assert (tmp_path / "last.safetensors").read_bytes() == before
        (tmp_path / "mine.txt").write_text("kept")
        assert run(tiny.coarse_task(max_steps=4), tmp_path, force=True).steps == 4
        assert (tmp_path / "mine.txt").exists()


class TestResult:
    def test_the_best_weights_are_those_of_the_best_validation(self, tmp_path):
        # A rate so high that the score goes up and down.
        task = tiny.coarse_task(learning_rate=2.0, schedule="constant", validate_every=5, gradient_clip=0.0)
        result = run(task, tmp_path)
        scores = [row["val_mean_iou"] for row in result.history if "val_mean_iou" in row]
        assert result.best_score == max(scores)
        assert scores[-1] < max(scores)
        labels = tiny.ground(1).labels
        padded = np.pad(tiny.ground(1).image, ((0, 0), (1, 1), (1, 1)), mode="symmetric")
        with torch.inference_mode():
            mapped = task.network(torch.from_numpy(padded)[None])[0].argmax(0).numpy()
        ious = [np.sum((mapped == k) & (labels == k)) / np.sum((mapped == k) | (labels == k)) for k in range(3)]
        assert np.isclose(np.mean(ious), result.best_score, atol=1e-6)
        assert not task.training

    def test_history_counts_steps_and_is_written_as_csv(self, tmp_path):
        result = run(tiny.coarse_task(), tmp_path)
        assert [row["step"] for row in result.history if "loss" in row] == [10, 20, 30, 40, 50]
        assert [row["step"] for row in result.history if "val_mean_iou" in row] == [20, 40, 50]
        with (tmp_path / "history.csv").open() as file:
            rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
        assert tuple(rows) == result.history
        assert list((tmp_path / "tensorboard").glob("events*"))
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "best.safetensors",
            "history.csv",
            "last.safetensors",
            "tensorboard",
        ]

    def test_losses_between_two_entries_are_averaged(self, tmp_path):
        fine = run(tiny.coarse_task(log_every=1), tmp_path / "fine").history
        rough = run(tiny.coarse_task(log_every=7), tmp_path / "rough").history
        each = [row["loss"] for row in fine if "loss" in row]
        # Rows end every 7 steps and at validations (after steps 20, 40 and 50).
        bounds = [0, 7, 14, 20, 27, 34, 40, 47, 50]
        expected = [np.mean(each[a:b]) for a, b in pairwise(bounds)]
        np.testing.assert_allclose([row["loss"] for row in rough if "loss" in row], expected, rtol=1e-5)

    def test_without_validation_the_last_weights_are_kept(self, tmp_path):
        task = tiny.coarse_task()
        result = tiny.train(task, [tiny.ground(0)], [], tmp_path)
        assert result.best_score is None
        state = load_tree(tmp_path / "last.safetensors")["network"]
        assert torch.equal(state["convolution.weight"], task.network.convolution.weight)

    def test_the_same_seed_gives_the_same_weights_and_another_one_others(self, tmp_path):
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            torch.manual_seed(len(name) + seed)
            run(tiny.coarse_task(seed=seed, max_steps=5), tmp_path / name)
        weights = [load_tree(tmp_path / name / "last.safetensors")["network"] for name in "abc"]
        assert torch.equal(weights[0]["convolution.weight"], weights[1]["convolution.weight"])
        assert not torch.equal(weights[0]["convolution.weight"], weights[2]["convolution.weight"])

    def test_the_callers_random_numbers_logging_and_warnings_stay_as_they_were(self, tmp_path, capfd):
        task = tiny.coarse_task(max_steps=3)
        torch.manual_seed(11)
        expected = torch.rand(3)
        torch.manual_seed(11)
        level = logging.getLogger("lightning_fabric").level
        run(task, tmp_path)
        assert torch.equal(torch.rand(3), expected)
        assert logging.getLogger("lightning_fabric").level == level
        assert capfd.readouterr() == ("", "")

    def test_it_runs_outside_the_main_thread(self, tmp_path):
        results = []
        thread = threading.Thread(target=lambda: results.append(run(tiny.coarse_task(max_steps=3), tmp_path)))
        thread.start()
        thread.join()
        assert results[0].steps == 3

    def test_two_devices_come_to_the_weights_of_one(self, tmp_path):
        # Without class weights the mean over a batch is the mean of its halves' means: all patches are fully labelled.
        changes = {"class_weights": "none", "optimizer": "sgd", "learning_rate": 0.1, "max_steps": 25}
        tasks = [tiny.coarse_task(**changes) for _ in range(2)]
        for task in tasks:
            task.network.dropout.p = 0.0  # every device draws its own
        one = run(tasks[0], tmp_path / "one")
        two = run(tasks[1], tmp_path / "two", options=TrainerOptions("cpu", devices=2))
        assert two.steps == one.steps == 25
        assert [row["step"] for row in two.history] == [row["step"] for row in one.history]
        torch.testing.assert_close(tasks[1].network.state_dict(), tasks[0].network.state_dict(), rtol=1e-4, atol=1e-5)
        assert np.isclose(two.best_score, one.best_score, atol=1e-3)

    def test_a_signal_to_the_caller_ends_the_training_on_all_devices(self, tmp_path):
        before, caller = multiprocessing.active_children(), os.getpid()

        def signal_the_caller(done: int) -> None:
            if done == 30:
                os.kill(caller, signal.SIGTERM)
                time.sleep(60)

        with pytest.raises(SystemExit) as stopped:
            run(
                tiny.coarse_task(),
                tmp_path,
                options=TrainerOptions("cpu", devices=2),
                events=Recorder(signal_the_caller),
            )
        assert stopped.value.code == 143
        assert multiprocessing.active_children() == before
        assert load_tree(tmp_path / "last.safetensors")["global_step"] == 20

    @pytest.mark.slow
    def test_the_trainer_of_lightning_is_not_loaded(self):
        code = "import sys, crispmap.training.run; sys.exit('lightning.pytorch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    @pytest.mark.parametrize("augmentation", ["flips-and-rotations", EVERY_WAY])
    def test_workers_change_nothing(self, augmentation, tmp_path):
        changes = {"max_steps": 6, "augmentation": augmentation}
        run(tiny.coarse_task(**changes), tmp_path / "none")
        run(tiny.coarse_task(**changes), tmp_path / "one", options=TrainerOptions(workers=1))
        assert_same_state(tmp_path / "none", tmp_path / "one")


class TestRefusals:
    def test_a_training_that_diverges_says_what_to_do(self, tmp_path):
        task = tiny.coarse_task(optimizer="sgd", schedule="constant", learning_rate=1e38, gradient_clip=0.0)
        with pytest.raises(TrainingError, match="learning_rate to 3e\\+37 or less"):
            run(task, tmp_path)
        assert not (tmp_path / "last.safetensors").exists()

    def test_what_fails_on_one_of_several_devices_is_told(self, tmp_path):
        task = tiny.coarse_task(optimizer="sgd", schedule="constant", learning_rate=1e38, gradient_clip=0.0)
        with pytest.raises(TrainingError, match="One of 2 training processes failed: The training diverged"):
            run(task, tmp_path, options=TrainerOptions("cpu", devices=2))

    def test_weights_that_break_in_the_last_step_are_never_kept(self, tmp_path):
        task = tiny.coarse_task(optimizer="sgd", learning_rate=3e38, gradient_clip=0.0, weight_decay=1e30)
        with pytest.raises(TrainingError, match="diverged"):
            run(task.__class__(task.network, task.settings.but(max_steps=1), task.schema), tmp_path)
        assert not (tmp_path / "best.safetensors").exists()

    def test_ground_smaller_than_a_patch(self, tmp_path):
        with pytest.raises(TrainingError, match="14 x 50 pixels is smaller than a patch of 16"):
            tiny.train(tiny.coarse_task(), [tiny.ground(0, (14, 50))], [], tmp_path)

    def test_a_class_without_a_pixel(self, tmp_path):
        piece = tiny.ground(0)
        piece.labels[piece.labels == 2] = IGNORE
        with pytest.raises(LabelError, match="'house'"):
            tiny.train(tiny.coarse_task(), [piece], [], tmp_path)

    def test_other_bands(self, tmp_path):
        with pytest.raises(TrainingError, match="4 bands"):
            tiny.train(tiny.coarse_task(), [tiny.ground(0, bands=4)], [], tmp_path)

    def test_a_refiner_without_scores(self, tmp_path):
        with pytest.raises(TrainingError, match="no coarse scores"):
            tiny.train(tiny.refiner_task(), [tiny.ground(0, with_scores=False)], [], tmp_path)

    def test_validation_without_labels(self, tmp_path):
        blank = tiny.ground(0)
        blank = ArrayPatches(blank.image, np.full_like(blank.labels, IGNORE), blank.scores)
        with pytest.raises(TrainingError, match="no labelled"):
            tiny.train(tiny.coarse_task(), [tiny.ground(0)], [blank], tmp_path)

    def test_other_classes_than_the_schemas(self):
        with pytest.raises(TrainingError, match="gives 4 classes"):
            CoarseTask(tiny.TinyNetwork(classes=4), tiny.coarse_settings(), tiny.SCHEMA)

    def test_nothing_to_train(self, tmp_path):
        task = tiny.coarse_task()
        task.network.requires_grad_(False)
        with pytest.raises(TrainingError, match="no weights to train"):
            run(task, tmp_path)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_a_device_that_is_not_there(self, tmp_path):
        for device in ("cuda", "abacus"):
            with pytest.raises(TrainingError, match=device):
                run(tiny.coarse_task(), tmp_path, options=TrainerOptions(device))

    def test_a_batch_that_cannot_be_shared(self, tmp_path):
        with pytest.raises(TrainingError, match="2 patches on 3 devices"):
            run(tiny.coarse_task(), tmp_path, options=TrainerOptions(devices=3))

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="cannot be written"):
            run(tiny.coarse_task(), tmp_path / "file" / "folder")

    def test_a_disk_too_small_for_the_training_is_refused_before_it_begins(self, tmp_path, monkeypatch):
        usage = namedtuple("usage", "free")
        monkeypatch.setattr("crispmap.training.folder.shutil.disk_usage", lambda folder: usage(900_000))
        with pytest.raises(OutputError, match=r"needs 1\.0 MB; the disk has 0\.9 MB free"):
            run(tiny.coarse_task(), tmp_path)
        monkeypatch.setattr("crispmap.training.folder.shutil.disk_usage", lambda folder: usage(1_100_000))
        assert run(tiny.coarse_task(max_steps=3), tmp_path).steps == 3

    @pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, OutputError), (errno.EPIPE, OSError)])
    def test_a_disk_that_fills_up_is_told_with_the_folder(self, number, error, tmp_path):
        def fail(done: int) -> None:
            raise OSError(number, "No space left on device")

        with pytest.raises(error, match="No space left" if error is OSError else str(tmp_path)):
            run(tiny.coarse_task(), tmp_path, events=Recorder(fail))


class TestProgress:
    def test_it_reports_steps_loss_and_the_best_score(self, tmp_path):
        recorder = Recorder()
        result = run(tiny.coarse_task(), tmp_path, events=recorder)
        (task,) = recorder.tasks
        assert (task.title, task.unit, task.total) == ("coarse network", "steps", 50)
        rows = [row for row in result.history if "loss" in row]
        assert task.done == [0, *(row["step"] for row in rows)]
        scores = [row["val_mean_iou"] for row in result.history if "val_mean_iou" in row]
        assert task.figures == {"loss": rows[-1]["loss"], "mean_iou": max(scores[:-1])}  # the last is in the summary
        assert task.summary == f"validation mean IoU {result.best_score:.2f}"

    def test_resumed_it_begins_where_it_was(self, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            run(tiny.coarse_task(), tmp_path, events=(stopped := stop_at(30)))
        assert (stopped.last.finished, stopped.last.summary) == (True, None)
        recorder = Recorder()
        run(tiny.coarse_task(), tmp_path, resume=True, events=recorder)
        assert recorder.last.done[0] == 20

    def test_nothing_is_printed(self, tmp_path, capfd):
        run(tiny.coarse_task(), tmp_path)
        assert capfd.readouterr() == ("", "")


SMALL = {
    "unet": {"width": 4},
    "unet-lite0": {"depth": 3, "radius_px": 56},
    "smp": {"encoder": "resnet18", "depth": 3, "radius_px": 72},
}
"""What makes large networks small enough for a test."""
NETWORKS = {"tiny": tiny.TinyNetwork} | {
    name: partial(one.build, **SMALL.get(name, {}))
    for name, one in architectures("coarse").items()
    if one.learner == "gradient"
    and "resnet50" not in name  # of the class of smp, and slow
    and "square_px" not in one.options.model_fields  # tests/project/test_square_projects.py
}
REFINERS = {"tiny": tiny.TinyRefiner} | {variant: partial(RecurrentRefiner, variant=variant) for variant in VARIANTS}


class TestContract:
    """What every coarse network and every refiner does in a training."""

    @pytest.mark.parametrize("name", NETWORKS)
    def test_every_coarse_network_learns(self, name, tmp_path):
        torch.manual_seed(1)
        settings = tiny.coarse_settings(max_steps=30, learning_rate=3e-3, validate_every=30, log_every=5, patch_px=32)
        task = CoarseTask(NETWORKS[name](bands=2, classes=3), settings, tiny.SCHEMA)
        self._check(run(task, tmp_path))

    @pytest.mark.parametrize("name", REFINERS)
    def test_every_refiner_learns(self, name, tmp_path):
        torch.manual_seed(1)
        settings = tiny.refiner_settings(max_steps=30, learning_rate=0.01, validate_every=30, log_every=5)
        self._check(run(RefinerTask(REFINERS[name](classes=3, bands=2), settings, tiny.SCHEMA), tmp_path))

    @staticmethod
    def _check(result):
        losses = [row["loss"] for row in result.history if "loss" in row]
        assert losses[-1] < 0.95 * losses[0]
        assert 0 < result.best_score <= 1
