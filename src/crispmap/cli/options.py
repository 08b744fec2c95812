"""Options that several verbs share."""

from __future__ import annotations

import functools
import inspect
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from crispmap.cli.console import notify
from crispmap.errors import InputError

if TYPE_CHECKING:
    from crispmap.classes import ClassSchema
    from crispmap.inference.run import MapResult


_YAML = (".yaml", ".yml")


class Choice(str, Enum):  # noqa: UP042 - as a StrEnum, typer would show its members' names
    """One of a few words."""


class Device(Choice):
    """Where networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class StoredScores(Choice):
    """How scores are held in a file."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    UINT8 = "uint8"


DeviceOption: TypeAlias = Annotated[
    Device, typer.Option("--device", help="Where networks run: auto takes a GPU where there is one.")
]
MemoryOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="What training data may take in memory, such as 2GB; the rest stays on disk. By default a quarter of it.",
    ),
]
ForceOption: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]

StoredScoresOption: TypeAlias = Annotated[
    StoredScores,
    typer.Option("--scores-as", help="How scores are held: logits as float32 or float16, probabilities as uint8."),
]
CertaintyOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="File for how sure the map is: the largest probability, and the entropy of all."),
]

BandsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--bands",
        metavar="NUMBERS",
        help="Bands of the scene in the order the models were trained on, such as 3,2,1. By default all but alpha.",
    ),
]
AssumeGsdOption: TypeAlias = Annotated[
    float | None,
    typer.Option("--assume-gsd-m", help="Side of a pixel in metres, for a scene without georeference."),
]

ClassesOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="NAMES|FILE",
        help="Preset classes such as building,road,water; or a YAML file of classes, or a project file. "
        "By default building,road.",
    ),
]
AllAsOption: TypeAlias = Annotated[
    str | None, typer.Option("--all-as", metavar="CLASS", help="The class of every feature, whatever its tags.")
]
LayerOption: TypeAlias = Annotated[
    str | None, typer.Option("--layer", metavar="NAME", help="The layer to read; by default all.")
]
AssumeCrsOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--assume-crs", metavar="CRS", help="The CRS of a file without one, such as EPSG:4326; or scene."),
]


def with_options(build: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a verb the parameters of ``build``, last, for its own parameter ``options``."""
    options = inspect.signature(build, eval_str=True).parameters

    def decorated(verb: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(verb)
        def whole(*args: Any, **kwargs: Any) -> None:
            chosen = {name: kwargs.pop(name) for name in options if name in kwargs}
            verb(*args, options=build(**chosen), **kwargs)

        own = inspect.signature(verb, eval_str=True)
        others = [one for name, one in own.parameters.items() if name != "options"]
        whole.__signature__ = own.replace(parameters=[*others, *options.values()])  # type: ignore[attr-defined]
        return whole

    return decorated


def trainer_options(*, device: DeviceOption = Device.AUTO, memory: MemoryOption = None) -> Any:
    """Return the ``TrainerOptions`` that the options of the command say.

    Raises:
        InputError: If the memory is no amount of memory.
    """
    from crispmap.data.budget import parse_bytes
    from crispmap.training.options import TrainerOptions

    return TrainerOptions(device.value, memory_bytes=None if memory is None else parse_bytes(memory))


def is_project(path: Path) -> bool:
    """Return whether a path is that of a project file, or of a folder that may hold one."""
    return path.suffix.lower() in _YAML or path.is_dir()


def words_of(text: str) -> list[str]:
    """Return words written with commas between."""
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_bands(text: str | None) -> tuple[int, ...] | None:
    """Return band numbers written with commas between; None where none are given.

    Raises:
        InputError: If they are not whole numbers from 1.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(
            f"--bands is {text!r}.",
            expected="band numbers from 1 with commas between",
            remedy="Write them like --bands 3,2,1; crispmap info lists the bands of a scene.",
        )
    return tuple(int(word) for word in words)


def named_classes(text: str | None) -> ClassSchema | None:
    """Return the classes a person names: presets, or those of a file; None where none are named.

    Raises:
        CrispmapError: If a preset is not known, or the file is no file of classes.
    """
    if text is None:
        return None
    if is_project(Path(text)):
        from crispmap.project.file import load_classes

        return load_classes(Path(text))
    from crispmap.labels.osm import OSM_PRESETS, preset_schema

    if not words_of(text):
        raise InputError(
            "--classes is empty.",
            expected=f"some of {', '.join(OSM_PRESETS)}, or a YAML file",
            remedy="Write them with commas between, such as --classes building,road.",
        )
    return preset_schema(words_of(text))


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
