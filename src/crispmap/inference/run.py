"""A job carried out: blocks computed here, in local processes or on a cluster, and written as maps that are whole."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.errors import ModelError, OutputError, SceneError, number_of
from crispmap.events import SILENT, Events, Progress, progress
from crispmap.files.dataset import open_dataset
from crispmap.files.memory import machine_memory
from crispmap.geo.grid import Block
from crispmap.inference.engines import EngineChoice, Precision
from crispmap.inference.exactness import blended_tags, halo_tags
from crispmap.inference.familiarity import warn_of_strange_file, warn_of_strange_scene
from crispmap.inference.job import MapJob, OpenJob
from crispmap.inference.options import AUTO, PredictOptions
from crispmap.inference.plan import affordable_windows, visit_blocks
from crispmap.inference.products import ClassMap, Product
from crispmap.inference.seams import SeamCheck, check_seams
from crispmap.inference.trial import settled_precision
from crispmap.inference.work import Layer, ScoreWork
from crispmap.raster.block_store import BlockStore, store_folder
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.journal import Journal
from crispmap.raster.pipeline import UNDER_WAY, available_cores, work_through
from crispmap.raster.refs import SceneRef

JOB_TAG = "CRISPMAP_JOB"  # the tag with the hash of all a map depends on
PRECISION_TAG = "CRISPMAP_PRECISION"  # the tag with the reason why a map was computed in its precision
ENGINE_TAG = "CRISPMAP_ENGINE"  # the tag with the engine that computed a map, and its precision
SEAM_TAG = "CRISPMAP_SEAM_CHECK"  # the tag with the findings of a seam check


@dataclass(frozen=True)
class Output:
    """A file to write: what it has of which scores; where there is no refiner, of the coarse ones."""

    product: Product
    path: Path
    layer: Layer = "refined"


@dataclass(frozen=True)
class MapResult:
    """What a job has come to."""

    paths: tuple[Path, ...]  # the files written, in the order asked for
    resumed: int  # blocks that an earlier run had finished
    blocks: int  # in all
    engine: str  # what computed
    seams: SeamCheck | None = None
    pixel_sizes: str = ""  # that models worked at, in words, where they are not the scene's


@dataclass(frozen=True)
class Encoding:
    """What is written of a block's scores: one array an output. Sent to the workers of a cluster."""

    outputs: tuple[tuple[Product, Layer], ...]

    def __call__(self, work: ScoreWork, block: Block, pool: Executor) -> list[NDArray[Any]] | None:
        """Compute a block and return what is written of it; None where no pixel is valid."""
        layers = work.compute(block, pool)
        if layers is None:
            return None
        by_name = dict(zip(work.layers, layers, strict=True))
        return [product.encode(*by_name[layer]) for product, layer in self.outputs]


def make_maps(
    opened: OpenJob,
    outputs: Sequence[Output],
    schema: ClassSchema,
    *,
    options: PredictOptions = PredictOptions(),
    events: Events = SILENT,
    keep_made: bool = False,
) -> MapResult:
    """Write maps of a job's scores; they appear together and complete, or not at all.

    The bytes of the files depend on the job, engine and precision alone; ``options`` choose the engine. Blocks that are
    finished are on the disk for good: where the run ends early, for any reason, the next run of the same job goes
    on from them. Blocks without a valid pixel are not computed, and pixels are nodata exactly where scene or scores are
    invalid. With ``keep_made`` nothing is done where the files are there and were made by this very job.

    Raises:
        OutputError: If a file exists and ``force`` is not given, cannot be written, is being written by another run,
            or an unfinished map of another job is in its place.
        ModelError: If a model was made for other bands or classes, or a score is no number; else as ``predict_scenes``.
    """
    opened, work, facts = _settled(opened, options, outputs[0].path, keep_made=keep_made)
    if len(schema) != work.classes:
        raise ModelError(
            f"{opened.job.scene} gives {number_of(work.classes, 'score')} a pixel for {len(schema)} classes.",
            expected=f"one score for each of {', '.join(schema.names)}",
            remedy="give the scores of these classes, one band a class",
        )
    layer_of = {name: name if name in work.layers else work.layers[0] for name in (one.layer for one in outputs)}
    files = tuple(replace(output, layer=layer_of[output.layer]) for output in outputs)
    identity = _identity(opened, work, files)
    if PRECISION_TAG in facts:
        identity["precision"] = facts[PRECISION_TAG]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    if keep_made and is_made(files) and all(_tags(one.path).get(JOB_TAG) == digest for one in files):
        with progress(events, "map", math.prod(opened.image.grid.shape)):
            return MapResult(tuple(one.path for one in files), 0, 0, work.engine)
    warn_of_strange_scene(opened.image, opened.models)
    tags = {**opened.models.tags, **facts, JOB_TAG: digest}
    specs = [one.product.spec(one.path, work.grid, schema, tags) for one in files]
    side = -(-options.block_px // (work.square_px * work.tile_px)) * work.tile_px
    with BlockStore.open(
        specs, identity=identity, block_px=side, force=options.force, restart=options.restart
    ) as store:
        try:
            result = _made(_Run(opened, work, files, options, store), events)
        except BaseException:
            if not store.finished:  # nothing is lost, so nothing is left
                store.discard()
            raise
    maps = [one.path for one in files if type(one.product) is ClassMap]  # not those recalibrated
    if maps:
        warn_of_strange_file(maps[-1], opened.models)
    return result


@dataclass(frozen=True)
class _Run:
    """A job under way."""

    opened: OpenJob
    work: ScoreWork
    outputs: tuple[Output, ...]
    options: PredictOptions
    store: BlockStore


def _made(run: _Run, events: Events) -> MapResult:
    """Compute what is missing, check the seams, and finish the files, which takes minutes for large scenes."""
    blocks = list(visit_blocks(run.work.grid.shape, run.store.block_px))
    finished, seams = list(run.store.finished), None
    with progress(events, "map", _pixels(run, blocks), done=_pixels(run, finished)) as running:
        running.write(run.store.under_way)
        opened = run.opened
        if opened.job.engine.threads < available_cores():
            running.note(f"Computing on {number_of(opened.job.engine.threads, 'core')}, as memory allows")
        if opened.models.exact is not None:
            running.note("Measuring what the smaller halo costs")
        tags = halo_tags(opened.image, opened.models, opened.given, run.work, opened.job.engine)
        _fill(run, blocks, running)
        if not run.store.has_pixels:
            run.store.discard()
            raise _nothing_valid(run.opened.job)
        if run.options.verify_seams:
            running.note("Checking seams")
            seams = check_seams(run.opened, run.work, run.options.verify_seams, seed=run.options.seed)
        if seams is not None:
            tags[SEAM_TAG] = seams.text
        paths = run.store.finish(tags, on_file_start=lambda path: running.note(f"Writing {path.name}"))
    return MapResult(tuple(paths), len(finished), len(blocks), run.work.engine, seams, run.opened.pixel_sizes)


def _nothing_valid(job: MapJob) -> SceneError:
    if job.scores is None:
        return SceneError(
            f"{job.scene} has no valid pixel.", expected="a scene with at least one pixel that is not nodata",
            remedy="check the scene's nodata value and mask with gdalinfo",
        )  # fmt: skip
    return SceneError(
        f"{job.scores.path} and {job.scene} have no valid pixel in common.", expected="scores of what the scene shows",
        remedy="check nodata values and masks of both with gdalinfo",
    )  # fmt: skip


def _pixels(run: _Run, blocks: Iterable[Block]) -> int:
    """Return the pixels of the scene, as the model sees it, in some blocks of a map."""
    return sum(block.height * block.width for block in blocks) * run.work.square_px**2


def engine_of(options: PredictOptions) -> EngineChoice:
    """Return the engine that ``options`` choose, in float32 until its precision is settled."""
    return EngineChoice(options.engine, "float32", options.device, available_cores())


def _settled(
    opened: OpenJob, options: PredictOptions, target: Path, *, keep_made: bool
) -> tuple[OpenJob, ScoreWork, dict[str, str]]:
    """Return a job with the engine and the precision that ``options`` choose, its work, and what tags have about them.

    An unfinished map keeps the precision it was begun with, and so does one that is made, where that may be kept.
    """
    engine, facts, chosen = engine_of(options), {}, options.precision
    if chosen == AUTO:
        reason = _begun_precision(target) or (_made_precision(target) if keep_made else None)
        if reason is None:
            reason = settled_precision([opened], engine, math.prod(opened.image.grid.shape))
        chosen, facts[PRECISION_TAG] = reason.split(";")[0], reason
    engine = replace(engine, precision=cast(Precision, chosen), threads=_threads(opened, engine))
    opened = replace(opened, job=replace(opened.job, engine=engine))
    work = opened.work()
    return opened, work, {**facts, ENGINE_TAG: work.engine, **blended_tags(work)}


def _threads(opened: OpenJob, engine: EngineChoice) -> int:
    """Return how many windows are computed at a time: one a core, fewer where memory does not suffice."""
    if engine.on_cuda or opened.models.coarse is None:
        return engine.threads
    side = opened.models.tile_px(engine, opened.image) + 2 * opened.models.context_px
    return min(engine.threads, affordable_windows(side**2, machine_memory()))


def _begun_precision(target: Path) -> str | None:
    """Return the precision an unfinished map was begun with, and why; None where there is none."""
    try:
        return Journal.read(store_folder(target)).identity["precision"]
    except (OutputError, KeyError):  # opening the folder reports what is wrong with it
        return None


def _made_precision(target: Path) -> str | None:
    """Return the precision a map was made in, and why; None where it was given or there is no map."""
    return _tags(target).get(PRECISION_TAG) if target.is_file() else None


def _fill(run: _Run, blocks: Sequence[Block], running: Progress) -> None:
    """Compute and store the blocks that are missing.

    An interruption or a termination leaves with a note of what is kept.
    """
    encode = Encoding(tuple((output.product, output.layer) for output in run.outputs))
    missing = [block for block in blocks if block not in run.store.finished]

    def done(block: Block) -> None:
        running.advance(_pixels(run, [block]))

    def deliver(block: Block, arrays: Sequence[NDArray[Any]] | None) -> None:
        run.store.write(block, arrays)
        done(block)

    def compute(block: Block, pool: Executor) -> None:
        run.store.write(block, encode(run.work, block, pool))

    threads = run.opened.job.engine.threads
    try:
        with _cluster(run.options) as client:
            if client is None:
                # Where a block is one large tile, each thread has a block of its own.
                under_way = max(UNDER_WAY, 1 + math.ceil(threads / (run.store.block_px // run.work.tile_px) ** 2))
                work_through(missing, compute, threads=threads, done=done, under_way=under_way)
            else:
                from crispmap.inference.cluster import work_on_cluster

                each = None if run.options.workers is None else max(1, threads // run.options.workers)
                work_on_cluster(client, run.opened.job.absolute(), encode, missing, threads=each, deliver=deliver)
    except (KeyboardInterrupt, SystemExit) as stop:
        kept = len(run.store.finished)
        if kept:
            stop.add_note(f"{kept} of {len(blocks)} blocks are finished and kept; the same command goes on from there.")
        raise


@contextmanager
def _cluster(options: PredictOptions) -> Iterator[Any]:
    """Return a client of the workers that are to compute, or None where this process is to."""
    if options.scheduler is None and options.workers is None:
        yield None
        return
    from crispmap.inference.cluster import local_cluster, remote_cluster

    start = local_cluster(options.workers or 1) if options.scheduler is None else remote_cluster(options.scheduler)
    with start as client:
        yield client


def is_made(outputs: Sequence[Output]) -> bool:
    """Return whether the files of a job are all there, made by this or any other job."""
    return all(one.path.is_file() for one in outputs)


def _tags(path: Path) -> dict[str, str]:
    with open_dataset(path) as dataset:
        return dict(dataset.tags())


def _identity(opened: OpenJob, work: ScoreWork, outputs: Sequence[Output]) -> dict[str, str]:
    """Return what the maps depend on, by hash where it is a file."""
    job = opened.job
    settings = {
        "gsd_m": job.gsd_m,
        "tile_px": work.tile_px,
        "outputs": [[repr(one.product), one.layer] for one in outputs],
    }
    if job.models_gsd_m is not None:
        settings["models_gsd_m"] = job.models_gsd_m
    if opened.models.exact is not None and opened.models.coarse is not None:
        settings["halo_px"] = opened.models.coarse.network.halo_px
    found = {
        "scene": fingerprint(job.scene),
        "engine": work.engine,
        "crispmap": version("crispmap"),
        "settings": json.dumps(settings),
    }
    for role, sha256 in opened.models.hashes.items():
        found["model" if role == "coarse" else role] = sha256
    if job.scores is not None:
        found["scores"] = f"{fingerprint(SceneRef.of(job.scores.path))} {job.scores.kind} {job.scores.full_scale}"
    return found
