"""The command ``crispmap``: its verbs, and how it starts and ends.

A verb's module is imported only when the verb is named, so that help is fast; the table here has what the list of verbs
shows.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

from crispmap import __version__
from crispmap.cli.console import notify_problem, print_line, voice
from crispmap.cli.failures import BAD_INPUT, errors_reported, termination_raised, warnings_reported
from crispmap.cli.streams import guard_streams, lost_output


@dataclass(frozen=True)
class Verb:
    """One verb of the command."""

    target: str  # module:function
    summary: str  # for the list of verbs
    example: str  # a command line, shown at the end of its help

    def load(self) -> Callable[..., Any]:
        """Import the verb's module and return its function."""
        module, _, function = self.target.partition(":")
        loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return loaded


# fmt: off
_TABLE = (
    ("demo", "Generate a town, map it, refine the map: a first look.", "demo --out demo"),
    ("init", "Write a project file to fill in.",
     "init myproject --scene scene.tif --labels osm.gpkg --reference precise.gpkg"),
    ("train", "Train the coarse network and the refiner of a project.", "train myproject/project.yaml"),
    ("predict", "Map a project's scene, or any scenes with model files.",
     "predict scene.tif --model coarse.safetensors --refiner refiner.safetensors --out map.tif"),
    ("refine", "Sharpen the scores of any tool with a trained refiner.",
     "refine scores.tif --scene scene.tif --refiner refiner.safetensors --out map.tif"),
    ("evaluate", "Score maps against a reference and write a report.",
     "evaluate map.tif --reference precise.gpkg"),
    ("compare", "Train and score many methods on a project, side by side.",
     "compare myproject --methods svm,fcn-rnn,crf,rnn"),
    ("compose", "Make one scene of bands on different grids.",
     "compose red=B4.tif green=B3.tif blue=B2.tif --out scene.tif"),
    ("resample", "Write an image or a class map at another pixel size.",
     "resample scene.tif --gsd-m 10 --out coarser.tif"),
    ("burned", "Map burned area from scenes before and after a fire.",
     "burned 'before/*.tif' 'after/*.tif' --sensor landsat8 --out burned.tif"),
    ("area", "Tell areas by class, region and month.",
     "area burnt_2022-0*.tif --regions biomes.gpkg --by name --date-from filename --out areas.xlsx"),
    ("sample", "Draw places to label, from which areas are corrected.",
     "sample map.tif --standard-error 0.01 --out sample.gpkg"),
    ("change", "Tell what became of each class between two maps.", "change 2015.tif 2025.tif --out change.tif"),
    ("rasterize", "Draw vectors as a class map on a scene's grid.",
     "rasterize osm.gpkg --like scene.tif --out labels.tif"),
    ("vectorize", "Turn a class map into polygons.",
     "vectorize map.tif --out map.gpkg --classes building,road"),
    ("offset", "Measure how far vectors are from a scene, and move them back.",
     "offset osm.gpkg --against scene.tif --out moved.gpkg"),
    ("align", "Move every polygon to where the image shows it.",
     "align osm.gpkg --against scene.tif --out aligned.gpkg"),
    ("pansharpen", "Sharpen bands with a panchromatic scene.",
     "pansharpen multispectral.tif panchromatic.tif --out sharp.tif --register"),
    ("chips", "Cut a scene and its labels into patches and masks.",
     "chips scene.tif --labels osm.gpkg --out chips --size 256 --test 0.2"),
    ("view", "Look at scenes, maps and projects in the browser.", "view myproject"),
    ("stac", "Write a STAC catalogue of a folder of maps and models.", "stac myproject/out"),
    ("import-caffe", "Convert a network trained with Caffe to a model file.",
     "import-caffe inria_mlp.caffemodel --out inria_mlp.safetensors"),
    ("export", "Write a model for other runtimes: ONNX, OpenVINO, PyTorch.",
     "export coarse.safetensors --refiner refiner.safetensors -o model.onnx"),
    ("cache", "Show or remove what is kept so that maps start sooner.", "cache --clear"),
    ("info", "Show what a scene, map, model, label or project file holds.", "info scene.tif"),
)
# fmt: on
VERBS = {
    name: Verb("crispmap.cli.{0}:{0}".format(name.replace("-", "_")), summary, f"crispmap {example}")
    for name, summary, example in _TABLE
}
"""The verbs by name, in the order of the list."""


_ANYWHERE = ("--debug", "--quiet", "--log-json")
_UsageError: type[Any] = typer.BadParameter.__mro__[1]  # typer does not give it a name of its own


class _LazyGroup(TyperGroup):
    """The verbs: their names and summaries at once, the code of a verb when it is called."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options of the command itself, which may stand anywhere."""
        own = args[: args.index("--")] if "--" in args else args
        first = [one for one in _ANYWHERE if one in own]
        return super().parse_args(ctx, [*first, *(one for one in own if one not in first), *args[len(own) :]])

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; where messages are lines of JSON, so is what is wrong with its options."""
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            if not voice.as_json:
                raise
            notify_problem("error", error.format_message(), "bold red")
            raise typer.Exit(BAD_INPUT) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the verb that is called before it is looked up."""
        if args and args[0] in VERBS:
            self.commands[args[0]] = _command(args[0], debug=bool(ctx.params.get("debug")))
        return super().resolve_command(ctx, args)


_EPILOG = """\b
Exit status:
  0    done
  1    the work failed
  2    bad input: what was given, what is expected, and the remedy
  130  interrupted (Ctrl-C); 143: terminated

\b
Options in the environment:
  CRISPMAP_PREDICT_BLOCK=512 is --block 512 of predict
  CRISPMAP_QUIET=1 is --quiet

\b
Example:
  crispmap demo --out demo
  crispmap train --help"""

app = typer.Typer(
    cls=_LazyGroup,
    help="Crisp, georeferenced class maps from satellite and aerial scenes, learned from imprecise labels.",
    epilog=_EPILOG, no_args_is_help=True,
    pretty_exceptions_enable=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)  # fmt: skip


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"crispmap {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
    ),
    debug: bool = typer.Option(
        False, "--debug", envvar="CRISPMAP_DEBUG", show_envvar=False, help="Show where an error happened."
    ),
    quiet: bool = typer.Option(
        False, "--quiet", envvar="CRISPMAP_QUIET", show_envvar=False,
        help="Say nothing on standard error but warnings and errors.",
    ),
    log_json: bool = typer.Option(
        False, "--log-json", envvar="CRISPMAP_LOG_JSON", show_envvar=False,
        help="Write messages and progress on standard error as lines of JSON.",
    ),
) -> None:  # fmt: skip
    voice.quiet, voice.as_json = quiet, log_json


def _stub() -> None:
    """Represent a verb that is not loaded in the list of verbs."""


for _name, _verb in VERBS.items():
    app.command(_name, help=_verb.summary)(_stub)


def _command(name: str, *, debug: bool) -> Any:
    verb = VERBS[name]
    function = verb.load()

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with errors_reported(debug), warnings_reported(debug):
            return function(*args, **kwargs)

    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, help=_help(function, verb), epilog=f"\b\nExample:\n  {verb.example}")(guarded)
    command = typer.main.get_command(single)
    for option in command.params:
        if option.param_type_name == "option":
            _take_from_environment(name, option)
    return command


def _take_from_environment(verb: str, option: Any) -> None:
    """Let an option be given as ``CRISPMAP_VERB_OPTION``, a name that is told where it is set."""
    name = max(option.opts, key=len).strip("-")
    option.envvar = f"CRISPMAP_{verb}_{name}".replace("-", "_").upper()
    option.show_envvar = option.envvar in os.environ


def _help(function: Callable[..., Any], verb: Verb) -> str:
    """Return a verb's help: its docstring up to the part written for programmers."""
    text = inspect.getdoc(function) or verb.summary
    for section in ("Args:", "Returns:", "Raises:"):
        text = text.partition(f"\n\n{section}")[0]
    return text


def main() -> None:
    """Run the command with the arguments of the process, and exit with its status."""
    guard_streams()
    try:
        with termination_raised():
            app(prog_name="crispmap")
    finally:
        if lost := lost_output():
            notify_problem("warning", f"Standard output cannot be written: {lost}.", "bold yellow")
