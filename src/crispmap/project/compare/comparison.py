"""A comparison: every method trained, mapped and scored, one after the other; where one fails, the others go on.

Each method has its own folder below ``compare/`` in the project's output folder. What is finished is skipped, what was
interrupted is resumed.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crispmap.data.training_data import learned_and_held_out
from crispmap.errors import CrispmapError, InputError, LabelError
from crispmap.events import SILENT, Listener, resumable
from crispmap.files.atomic import clear_scratch, file_lock, scratch_folder
from crispmap.files.dataset import few_blocks_kept
from crispmap.labels.kept import KeptVectors
from crispmap.models.file import load_model, model_hash, read_card
from crispmap.project.coarse import CoarseScores
from crispmap.project.compare import record as records
from crispmap.project.compare.mapping import BoxScores, MapOrder, map_apart
from crispmap.project.compare.methods import Method, default_methods, missing_for, parse_methods, project_of
from crispmap.project.compare.models import mapped_with, models_of, opened_coarse, parameters_of, train_missing
from crispmap.project.compare.record import Record, check_identity
from crispmap.project.compare.scoring import Scores, TestAreas, curve_over_iterations
from crispmap.project.file import Project, load_project
from crispmap.project.inputs import Sources, open_sources
from crispmap.project.preflight import TrainingPreflight, require_precise
from crispmap.project.scored import ScoredScene
from crispmap.project.training import fit_biases
from crispmap.raster.targets import write_failure
from crispmap.raster.writer import class_map_writer
from crispmap.training.options import TrainerOptions

_SEEDS = "seeds"  # the folder, beside those of the methods, of what other seeds gave
_WRITTEN_PX = 1024
_LOCK = ".lock"
_LAST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Seeds:
    """The seeds of a comparison: so many, one after the other."""

    first: int | None = None  # by default the project's
    count: int = 1

    def of(self, project: Project) -> range:
        """Return the seeds for a project.

        Raises:
            InputError: If there is none, or one is beyond 32 bits.
        """
        first = project.seed if self.first is None else self.first
        if self.count < 1 or first < 0 or first + self.count - 1 > _LAST_SEED:
            raise InputError(
                f"{self.count} seeds from {first}.", expected=f"1 or more, none above {_LAST_SEED}",
                remedy="give fewer seeds, or a lower first one",
            )  # fmt: skip
        return range(first, first + self.count)


@dataclass(frozen=True)
class Failure:
    """Why a method has no figures."""

    reason: str  # a sentence
    skipped: bool = False  # not tried, because the project lacks what it needs


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison."""

    project: Project  # the project, with the seed that was used
    root: Path  # the folder of the methods
    outcomes: dict[Method, Record | Failure]  # in the order of the table
    resumed: tuple[str, ...]  # names of the methods that were finished before
    device: str = "auto"
    repeats: tuple[Comparison, ...] = ()  # the same methods with other seeds

    @property
    def finished(self) -> dict[Method, Record]:
        """The methods that have figures."""
        return {method: one for method, one in self.outcomes.items() if isinstance(one, Record)}

    @property
    def failures(self) -> dict[Method, Failure]:
        """The methods that have none."""
        return {method: one for method, one in self.outcomes.items() if isinstance(one, Failure)}


def compare_methods(
    path: Path,
    *,
    methods: Sequence[str] | None = None,
    seeds: Seeds = Seeds(),
    force: bool = False,
    trainer: TrainerOptions = TrainerOptions(),
    events: Listener = SILENT,
) -> Comparison:
    """Train, map and score methods on a project's areas; return the outcome of each.

    Args:
        methods: Names, see ``parse_methods``; by default all of ``default_methods``.
        seeds: The first seed, and with how many one after the other all of it is done.
        force: Run the methods asked for again, whatever is in their folders.

    Raises:
        ProjectError: If the project names no reference or no test area.
        InputError: If a method is not known, or a seed is none.
        OutputError: If a method's folder holds results of other settings or data and ``force`` is not given, or
            another comparison is running there.
    """
    project = load_project(path)
    chosen = default_methods(project) if methods is None else parse_methods(methods, project)
    require_precise(
        project, ["refiner", "test"], so=", so methods cannot be compared on it",
        remedy="add them; half a square kilometre, drawn by hand, will do",
    )  # fmt: skip
    projects = [replace(project, seed=one) for one in seeds.of(project)]
    vectors = KeptVectors()  # read once for all methods and seeds
    with open_sources(projects[0], vectors):  # reports errors of the areas before any work
        root = project.output_folder / "compare"
        folders = [root, *(root / _SEEDS / str(one.seed) for one in projects[1:])]
        runners = [
            _Runner(one, folder, vectors, trainer, events) for one, folder in zip(projects, folders, strict=True)
        ]
    with ExitStack() as held:
        try:
            root.mkdir(parents=True, exist_ok=True)
            held.callback(file_lock(root, root / _LOCK))
        except OSError as error:
            raise write_failure(root, error, kept="nothing was begun") from error
        for runner in runners:  # whatever refuses does so before the first training
            runner.prepare(chosen, force=force)
        with resumable("What is finished is kept; the same command, without force=True, goes on from there."):
            first, *others = [_made_by(runner, chosen, len(runners)) for runner in runners]
    return replace(first, repeats=tuple(others))


def _made_by(runner: _Runner, methods: Sequence[Method], seeds: int) -> Comparison:
    if seeds > 1:
        runner.events.note(f"Seed {runner.project.seed}, one of {seeds}")
    outcomes = {method: runner.outcome(method) for method in methods}
    return Comparison(runner.project, runner.root, outcomes, tuple(runner.resumed), runner.device)


class _Runner:
    """Trains, maps and scores the methods of one seed, each when it is asked for."""

    def __init__(
        self, project: Project, root: Path, vectors: KeptVectors, trainer: TrainerOptions, events: Listener
    ) -> None:
        self.project, self.root, self._trainer, self.events = project, root, trainer, events
        self.device = trainer.device
        self._vectors = vectors
        self.resumed: list[str] = []
        self._facts = records.data_facts(project)
        self._failed_coarse: dict[str, str] = {}
        self._failed_preflight: dict[Method, str] = {}

    def prepare(self, methods: Sequence[Method], *, force: bool) -> None:
        """Write into every method's folder what it is made from, after checking that it holds nothing else."""
        wanted = [one for one in methods if not missing_for(one, self.project)]
        folders = dict.fromkeys([*wanted, *(need for one in wanted for need in one.needs)])
        if not force:
            for method in folders:
                check_identity(self.root / method.name, self._identity(method))
        for method in folders:
            folder = self.root / method.name
            if force and (method in wanted or not self._same(method)):
                shutil.rmtree(folder, ignore_errors=True)
            if not (folder / records.IDENTITY).exists():
                records.write_identity(folder, self._identity(method))
        unfinished = [one for one in wanted if records.read_record(self.root / one.name) is None]
        if unfinished:  # what cannot be trained is reported now, not after an hour of other trainings
            self._failed_preflight = _preflight_failures(unfinished, self.project, self.root, self._vectors)
        for method, reason in self._failed_preflight.items():
            self.events.note(f"{method.name}: cannot be trained. {reason}")

    def _identity(self, method: Method) -> dict[str, object]:
        return records.identity_of(method, self.project, self._facts)

    def _same(self, method: Method) -> bool:
        try:
            check_identity(self.root / method.name, self._identity(method))
        except CrispmapError:
            return False
        return True

    def outcome(self, method: Method) -> Record | Failure:
        """Return a method's figures, making them where they are missing, or why there are none."""
        lacks = missing_for(method, self.project)
        if lacks:
            self.events.note(f"{method.name}: left out. {lacks}")
            return Failure(lacks, skipped=True)
        if method in self._failed_preflight:
            return Failure(self._failed_preflight[method])
        try:
            done = self._finished(method)
            if done is not None:
                self.resumed.append(method.name)
                clear_scratch(self.root / method.name / "scores")
                self.events.note(f"{method.name}: finished before")
                return done
            return self._made(method)
        except Exception as error:  # whatever goes wrong with one method, the others go on
            failure = Failure(_reason_of(error))
            self.events.note(f"{method.name}: failed. {failure.reason}")
            return failure

    def _finished(self, method: Method) -> Record | None:
        """Return the figures of a method that is finished, if they are of the models in its folder."""
        record = records.read_record(self.root / method.name)
        if record is None:
            return None
        models = _hashes(models_of(method, self.root))
        if record.models == models:
            return record
        *needed, own = models_of(method, self.root)
        if any(record.models.get(name) != models.get(name) for name in needed):  # it learned from others
            shutil.rmtree(self.root / method.name / "training", ignore_errors=True)
            (self.root / method.name / f"{own}.safetensors").unlink(missing_ok=True)
        return None

    def _made(self, method: Method) -> Record:
        if method.coarse in self._failed_coarse and method.needs:
            raise LabelError(f"Its coarse network failed: {self._failed_coarse[method.coarse]}")
        self.events.note(f"{method.name}: training")
        models = self._trained(method)
        folder = self.root / method.name
        with scratch_folder(folder / "scores") as scratch:
            self.events.note(f"{method.name}: mapping and scoring the test areas")
            texts = {name: str(path.absolute()) for name, path in mapped_with(models).items()}
            mapping = map_apart(MapOrder(str(self.project.path.absolute()), texts, str(scratch), self.device))
            opened_inputs = opened_coarse(method, self.project, self.root, self.device, self._vectors)
            with few_blocks_kept(), opened_inputs as (sources, coarse):
                tested = TestAreas(sources)
                with ExitStack() as opened:
                    scores = [opened.enter_context(one) for one in tested.open_scores(scratch)]
                    base = tested.score(scores, events=self.events)
                    second, biases, note = self._rethresholded(method, tested, sources, (scores, coarse))
                    for scene, raster in zip(tested.scenes, scores, strict=True):
                        _write_map(map_of(folder, self.project, scene), scene, self.project, raster)
                steps = self._steps(sources, coarse, models)
        seconds = {name: float(read_card(path).provenance.get("seconds", 0.0)) for name, path in models.items()}
        record = Record(
            scores=base, rethresholded=second, biases=biases, training_s=seconds,
            parameters={name: parameters_of(path) for name, path in mapped_with(models).items()},
            mapping=mapping, steps=steps, models=_hashes(models), note=" ".join(filter(None, (note, mapping.blended))),
        )  # fmt: skip
        records.write_record(folder, record)
        return record

    def _trained(self, method: Method) -> dict[str, Path]:
        try:
            train_missing(method.alone, self.project, self.root, self._trainer, self.events, self._vectors)
        except Exception as error:
            self._failed_coarse[method.coarse] = _reason_of(error)
            raise
        return train_missing(method, self.project, self.root, self._trainer, self.events, self._vectors)

    def _rethresholded(
        self, method: Method, tested: TestAreas, sources: Sources, scores: tuple[Sequence[BoxScores], CoarseScores]
    ) -> tuple[Scores | None, tuple[float, ...], str]:
        """Return the figures of a coarse network's map with biases, the biases, and why there are none."""
        if method.needs:
            return None, (), ""
        on_test, everywhere = scores
        try:
            biases = fit_biases(everywhere, sources.pieces("refiner"), self.project.seed)
        except LabelError as error:
            return None, (), f"Not re-thresholded: {error.given}"
        return tested.score(on_test, biases, self.events), tuple(float(value) for value in biases), ""

    def _steps(self, sources: Sources, coarse: CoarseScores, models: Mapping[str, Path]) -> dict[str, list[float]]:
        """Return the mean IoU after every iteration on the test areas, and on those the refiner learned from."""
        if "refiner" not in models:
            return {}
        refiner = load_model(models["refiner"], kind="refiner")
        learned, _ = learned_and_held_out(sources, "refiner", gsd_m=sources.gsd_m)
        curves = {
            name: curve_over_iterations(pieces, coarse, refiner, self.device, self.events)
            for name, pieces in (("test", sources.pieces("test")), ("training", learned))
        }
        return {name: [matrix.mean_iou for matrix in curve] for name, curve in curves.items() if curve[0].valid_px}


def _hashes(models: Mapping[str, Path]) -> dict[str, str]:
    return {name: model_hash(path) for name, path in models.items() if path.exists()}


def map_of(folder: Path, project: Project, scene: ScoredScene) -> Path:
    """Return the file of a method's map of a scene's test areas."""
    return folder / "map.tif" if len(project.scenes) == 1 else folder / "maps" / f"{scene.name}.tif"


def _write_map(path: Path, scene: ScoredScene, project: Project, scores: BoxScores) -> None:
    """Write the class map of a scene's test areas, 255 outside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with class_map_writer(path, scene.grid.window(scene.box), project.schema, force=True) as writer:
        for block in scene.box.pieces(_WRITTEN_PX):
            values, valid = scores.read(block)
            labels = np.where(valid & scene.pixels.mask(block), values.argmax(0), 255).astype(np.uint8)
            writer.write(block.relative_to(scene.box), labels)


def _preflight_failures(
    methods: Sequence[Method], project: Project, root: Path, vectors: KeptVectors
) -> dict[Method, str]:
    """Return, by method, why a model it still lacks cannot be trained on the project's areas."""
    with open_sources(project, vectors) as sources:
        checks = TrainingPreflight(sources)
        reasons = {method: _failure_of(method, project, checks, root) for method in methods}
    return {method: reason for method, reason in reasons.items() if reason}


def _failure_of(method: Method, project: Project, checks: TrainingPreflight, root: Path) -> str:
    mine = project_of(method, project)
    check = {"coarse": checks.check_coarse, "finetuned": checks.check_finetuning, "refiner": checks.check_refiner}
    for name, path in models_of(method, root).items():
        try:
            if not path.exists():
                check[name](mine)
        except Exception as error:  # an error of one method must not stop the others
            its_coarse = name == "coarse" and bool(method.needs)
            return f"Its coarse network failed: {_reason_of(error)}" if its_coarse else _reason_of(error)
    return ""


def _reason_of(error: Exception) -> str:
    """Return an error as one sentence."""
    if isinstance(error, CrispmapError):
        return error.given
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
