"""Options that several verbs share, and how a verb takes a group of them."""

from __future__ import annotations

import functools
import inspect
import shlex
import time
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from crispmap.cli.completion import preset_classes
from crispmap.cli.console import notify
from crispmap.errors import InputError
from crispmap.inference.options import PredictOptions
from crispmap.inference.plan import BLOCK_PX

if TYPE_CHECKING:
    from crispmap.classes import ClassSchema
    from crispmap.inference.predict import Outputs
    from crispmap.inference.run import MapResult
    from crispmap.labels.reader import LabelOptions
    from crispmap.raster.refs import SceneChoices
    from crispmap.raster.write_computed import ComputeOptions
    from crispmap.training.options import TrainerOptions

_BLOCK = "Side of the blocks of work: smaller ones need less memory; the result is the same."
_BANDS = "Bands of the scene in the order the models were trained on, such as 3,2,1. By default all but alpha."
_GB = "What training data may take in memory, such as 2GB; the rest stays on disk. By default a quarter of it."

DeviceOption: TypeAlias = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where networks run: auto takes a GPU where there is one.")
]
ForceOption: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]
SharesOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the figures as JSON, as shares 0..1.")]
ProjectArgument: TypeAlias = Annotated[Path, typer.Argument(metavar="PROJECT", help="The project file, or its folder.")]
AssumeGsdOption: TypeAlias = Annotated[
    float | None, typer.Option(help="Side of a pixel in metres, for a scene without georeference.")
]
ClassesOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES|FILE",
        autocompletion=preset_classes,
        help="Preset classes such as building,road,water; or a YAML file of classes, or a project file. "
        "By default building,road.",
    ),
]
MapClassesOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES|FILE",
        autocompletion=preset_classes,
        help="The classes of maps that do not carry them: a YAML file of classes, a project file, or presets such as "
        "building,road, after a background.",
    ),
]


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb, for each parameter that is a dataclass, the options of its fields."""
    own = inspect.signature(verb, eval_str=True)
    groups: dict[str, Any] = {
        name: one.annotation for name, one in own.parameters.items() if is_dataclass(one.annotation)
    }

    @functools.wraps(verb)
    def whole(*args: Any, **kwargs: Any) -> None:
        for name, group in groups.items():
            kwargs[name] = group(**{one.name: kwargs.pop(one.name) for one in fields(group)})
        verb(*args, **kwargs)

    parameters = [
        option
        for name, one in own.parameters.items()
        for option in (_parameters(groups[name]) if name in groups else [one])
    ]
    whole.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return whole


def _parameters(group: Any) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, annotation=hints[one.name],
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
        )
        for one in fields(group)
    ]  # fmt: skip


@dataclass(frozen=True)
class PredictFlags:
    """How maps are made."""

    block: Annotated[int, typer.Option(min=64, max=16384, metavar="PX", help=_BLOCK)] = BLOCK_PX
    engine: Annotated[
        Literal["auto", "torch", "openvino", "onnxruntime"],
        typer.Option(help="What evaluates the networks; auto takes the fastest that is installed."),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(
            help="Arithmetic of the networks. float32 is the reference; auto takes a faster one only where it changes "
            "fewer than 1 label in 10,000 on a sample of the scene."
        ),
    ] = "auto"
    device: DeviceOption = "auto"
    gsd_m: Annotated[
        float | None,
        typer.Option(
            metavar="METRES",
            help="The pixel size models work at; by default that each was trained at, to which the scene is resampled.",
        ),
    ] = None
    halo: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="PX",
            help="Context that a network which pads reads around its tiles; by default all that it depends on. Less is "
            "faster and not exact: the map's tags tell what it costs.",
        ),
    ] = None
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Distribute the blocks to N processes of this machine.")
    ] = None
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Distribute the blocks to the workers of a Dask scheduler.")
    ] = None
    verify_seams: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Predict N random windows again on other tiles; report the change."),
    ] = 0
    restart: Annotated[bool, typer.Option("--restart", help="Discard an unfinished map, do not resume it.")] = False
    force: ForceOption = False

    def options(self) -> PredictOptions:
        """Return them as the library takes them."""
        values = dict(vars(self))
        return PredictOptions(block_px=values.pop("block"), halo_px=values.pop("halo"), **values)


@dataclass(frozen=True)
class OutputFlags:
    """What is written beside the class map."""

    scores: Annotated[
        Path | None, typer.Option(help="The scores to write too, one band a class; for several scenes, a folder.")
    ] = None
    confidence: Annotated[
        Path | None,
        typer.Option(help="The confidence of the map to write too: the largest probability, and the entropy of all."),
    ] = None
    recalibrated: Annotated[
        Path | None,
        typer.Option(
            help="The coarse map with the class biases in the refiner's card to write too: what recalibration alone "
            "can do; for several scenes, a folder."
        ),
    ] = None
    scores_as: Annotated[
        Literal["float32", "float16", "uint8"],
        typer.Option(
            help="How scores are stored: logits as float32 or, smaller and with the same labels, float16; "
            "probabilities as uint8."
        ),
    ] = "float32"

    def outputs(self, out: Path, coarse: Path | None = None) -> Outputs:
        """Return the files to write."""
        from crispmap.inference.predict import Outputs

        return Outputs(out, self.scores, coarse, self.confidence, self.scores_as, self.recalibrated)


@dataclass(frozen=True)
class SceneFlags:
    """How scenes are read."""

    bands: Annotated[str | None, typer.Option(metavar="NUMBERS", help=_BANDS)] = None
    assume_gsd_m: AssumeGsdOption = None
    nodata: Annotated[
        float | None,
        typer.Option(metavar="VALUE", help="The value of pixels without data, in place of the scene's own; nan: none."),
    ] = None
    nodata_tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="How far from it all bands of a pixel without data may be: lossy compression blurs them."
        ),
    ] = None

    def choices(self) -> SceneChoices:
        """Return them as the library takes them."""
        return {**vars(self), "bands": parse_bands(self.bands)}  # type: ignore[typeddict-item]


EncodingOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The encoding of the vectors' text, such as latin-1; by default as the file says."
    ),
]
UnknownOption = Annotated[
    Literal["error", "ignore"], typer.Option(help="How to treat values of no class: ignore leaves that ground out.")
]
ToleranceOption = Annotated[
    int, typer.Option(metavar="LEVELS", help="How far colours of a mask may be from those of classes, in each channel.")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(metavar="VALUE", help="Grey values of a mask from this on are the second of two classes."),
]


@dataclass(frozen=True)
class VectorFlags:
    """How vectors are read."""

    all_as: Annotated[
        str | None, typer.Option(metavar="CLASS", help="The class of every feature, whatever its tags.")
    ] = None
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="The layer to read; by default all.")] = None
    assume_crs: Annotated[
        str | None, typer.Option(metavar="CRS", help="The CRS of a file without one, such as EPSG:4326; or scene.")
    ] = None
    encoding: EncodingOption = None


@dataclass(frozen=True)
class DrawFlags(VectorFlags):
    """How vectors are read and drawn."""

    classes: ClassesOption = None
    road_width_m: Annotated[
        float | None, typer.Option(help="Total width on the ground of every line, whatever its tags.")
    ] = None
    all_touched: Annotated[
        bool, typer.Option("--all-touched", help="Draw every pixel touched, not only those whose centre is.")
    ] = False
    unknown: UnknownOption = "error"
    threshold: ThresholdOption = None
    tolerance: ToleranceOption = 16

    def options(self) -> LabelOptions:
        """Return how labels are read, as the library takes it."""
        from crispmap.labels.reader import LabelOptions

        return LabelOptions(**{one.name: getattr(self, one.name) for one in fields(DrawFlags) if one.name != "classes"})


@dataclass(frozen=True)
class ComputeFlags:
    """How rasters are computed."""

    block: Annotated[int, typer.Option(min=64, max=16384, metavar="PX", help=_BLOCK)] = 1024
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Threads that compute; by default one a core, up to 8.")
    ] = None
    restart: Annotated[bool, typer.Option("--restart", help="Discard an unfinished run, do not resume it.")] = False

    def options(self, force: bool) -> ComputeOptions:
        """Return them as the library takes them."""
        from crispmap.raster.write_computed import ComputeOptions

        return ComputeOptions(self.block, self.workers, force=force, restart=self.restart)


@dataclass(frozen=True)
class TrainerFlags:
    """What a training runs on."""

    device: DeviceOption = "auto"
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help=_GB)] = None

    def options(self, devices: int = 1) -> TrainerOptions:
        """Return them as the library takes them, or raise InputError where the memory is no amount of memory."""
        from crispmap.data.budget import parse_bytes
        from crispmap.training.options import TrainerOptions

        memory = None if self.memory is None else parse_bytes(self.memory)
        return TrainerOptions(self.device, devices=devices, memory_bytes=memory)


def is_project(path: Path) -> bool:
    """Return whether a path is that of a project file, or of a folder that may hold one."""
    return path.suffix.lower() in (".yaml", ".yml") or path.is_dir()


def words_of(text: str) -> list[str]:
    """Return words that are separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_bands(text: str | None) -> tuple[int, ...] | None:
    """Return band numbers from text; None where none are given."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(
            f"--bands is {text!r}.", expected="band numbers from 1, separated by commas",
            remedy="Write them like --bands 3,2,1; crispmap info lists the bands of a scene.",
        )  # fmt: skip
    return tuple(int(word) for word in words)


def named_classes(text: str | None) -> ClassSchema | None:
    """Return the classes a person names: presets, or those of a file; None where none are named."""
    if text is None:
        return None
    if is_project(Path(text)):
        from crispmap.project.file import load_classes

        return load_classes(Path(text))
    from crispmap.labels.osm import OSM_PRESETS, preset_schema

    if not words_of(text):
        raise InputError(
            "--classes is empty.", expected=f"some of {', '.join(OSM_PRESETS)}, or a YAML file",
            remedy="Separate them by commas, such as --classes building,road.",
        )  # fmt: skip
    return preset_schema(words_of(text))


def files_of(*given: str | Path | None) -> list[Path]:
    """Return what is given as paths, without what is not given."""
    return [Path(one) for one in given if one is not None]


def quoted(path: Path) -> str:
    """Return a path as it is typed in a shell."""
    return shlex.quote(str(path))


def notify_written(paths: Iterable[Path], *, since: float | None = None) -> None:
    """Print which files a verb has written and, where its beginning (``time.perf_counter``) is given, in what time."""
    for path in paths:
        notify(f"Wrote {path}")
    if since is not None:
        notify(f"Took {duration(time.perf_counter() - since)}")


def notify_results(results: Sequence[MapResult], *, since: float) -> None:
    """Print which maps were written or skipped, what an earlier run had finished, and what a seam check found."""
    for result in results:
        if not result.blocks:
            notify(f"Up to date, skipped: {', '.join(map(str, result.paths))}")
            continue
        if result.resumed:
            notify(f"Resumed: {result.resumed} of {result.blocks} blocks were finished already")
        notify_written(result.paths)
        if result.seams is not None:
            notify(f"Seam check: {result.seams.text}")
    for sizes in dict.fromkeys(result.pixel_sizes for result in results if result.pixel_sizes):
        notify(f"Resampled: {sizes}")
    notify(f"Took {duration(time.perf_counter() - since)} ({', '.join(dict.fromkeys(one.engine for one in results))})")


def duration(seconds: float) -> str:
    """Return a time for people, such as ``4.2 s`` or ``1 h 05 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
