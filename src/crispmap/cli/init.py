"""The verb ``init``."""

from __future__ import annotations

import colorsys
import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import tell
from crispmap.cli.options import ForceOption, quoted
from crispmap.errors import InputError, OutputError
from crispmap.files.atomic import write_atomically
from crispmap.models.architecture import Kind

PLACEHOLDER_SHAPE = (1000, 1000)
"""The scene's (height, width) where nobody has given the scene: the areas proposed are for the person to change."""

COARSE_GSD_M = 1.0
"""The ground sampling distance the papers' coarse networks were made for."""

_SHARES = (0.6, 0.8)
"""Where, along the longer side of the scene, the refiner's ground and the test ground begin."""


@dataclass(frozen=True)
class _SceneFacts:
    """What a proposal needs of the scene."""

    shape: tuple[int, int] = PLACEHOLDER_SHAPE
    gsd_m: float | None = None
    georeferenced: bool = True
    known: bool = False


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the project file goes.")] = Path(),
    scene: Annotated[Path | None, typer.Option(help="The scene: any raster.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Imprecise labels, such as OpenStreetMap: vectors or a mask.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Precise labels of a small piece: vectors or a mask.")] = None,
    classes: Annotated[
        str, typer.Option(metavar="NAMES", help="Classes besides the background, with commas between.")
    ] = "building,road",
    force: ForceOption = False,
) -> None:
    """Write a project file to fill in, with areas proposed for the scene where one is given."""
    from crispmap.files.address import is_address
    from crispmap.labels.osm import OSM_PRESETS
    from crispmap.project.file import PROJECT_FILE

    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"{folder} is no folder.",
            expected="the folder for the project file",
            remedy="Name a folder, new or old; the scene goes behind --scene.",
        )
    target = folder / PROJECT_FILE
    if target.exists() and not force:
        raise OutputError(
            f"{target} exists.", expected="a new file", remedy="Give --force to replace it, or another folder."
        )
    given = [path for path in (scene, labels, reference) if path is not None]
    for path in given:
        if not path.exists() and not is_address(path):
            raise InputError(f"There is no file {path}.", expected="a file that is there", remedy="Check the path.")
    text = "\n".join(
        [
            _head(folder, target),
            _scene_section(scene, folder, facts := _scene_facts(scene)),
            _class_section(classes),
            _label_sections(labels, reference, folder, commented=bool(given) and reference is None),
            _area_section(facts, commented=bool(given) and reference is None),
            _learning_sections(facts, commented=bool(given) and reference is None),
        ]
    )
    write_atomically(target, text.encode())
    strange = [name for name in _names(classes) if name not in OSM_PRESETS]
    if strange:
        tell(f"No tag rules are known for {', '.join(strange)}: fill them in under osm.")
    tell(f"Wrote {target}. Look through it, then run: crispmap train {quoted(target)}")


def _head(folder: Path, target: Path) -> str:
    """Return the first lines of the file."""
    name = re.sub(r"[^\w.+-]+", " ", folder.resolve().name).strip(" .+-")[:100] or "project"
    return f"""\
# A crispmap project: everything the map of a scene is made from.
# Paths count from the folder of this file. To check the file: crispmap info {quoted(target)}

crispmap: 2  # the format of this file
name: {_quoted(name)}
seed: 0  # the same seed gives the same map
"""


def _scene_facts(scene: Path | None) -> _SceneFacts:
    """Return what a proposal needs of the scene; of none, what a placeholder has."""
    if scene is None:
        return _SceneFacts()
    from crispmap.raster.files import open_scene

    with open_scene(scene) as opened:
        grid = opened.grid
        return _SceneFacts(grid.shape, grid.mean_gsd_m(), grid.crs is not None, known=True)


def _scene_section(scene: Path | None, folder: Path, facts: _SceneFacts) -> str:
    """Return the section ``scene``."""
    said = ""
    if facts.known:
        height, width = facts.shape
        said = f"  # {height} rows x {width} columns of pixels"
        said += f" of {facts.gsd_m:.3g} m\n" if facts.georeferenced else ", without georeference\n"
    assume = "  assume_gsd_m: 1.0" if not facts.georeferenced else "  # assume_gsd_m: 1.0"
    return f"""\
scene:
  path: {_relative(scene, "scene.tif", folder)}
{said}\
  # bands: [1, 2, 3]  # bands to use, counted from 1; all of them where absent
  # gsd_m: 0.5  # work at this ground sampling distance, in metres a pixel; the scene's own where absent
{assume}  # the ground sampling distance of a scene without georeference: set it right
"""


def _class_section(names: str) -> str:
    """Return the section ``classes``: the background and the classes named."""
    from crispmap.classes import ClassDef, ClassSchema
    from crispmap.labels.osm import OSM_PRESETS, PRESET_COLOURS

    wanted = ["background", *_names(names)]
    colours = [PRESET_COLOURS.get(name) or _spare_colour(index) for index, name in enumerate(wanted)]
    ClassSchema(tuple(ClassDef(name, colour) for name, colour in zip(wanted, colours, strict=True)))
    lines = [
        "# The classes in the order they are drawn in: on shared ground the later wins. The first is the background,",
        "# what no feature covers. osm takes tag rules such as [building=*], or the name of a preset:",
        f"# {', '.join(OSM_PRESETS)}.",
        "classes:",
    ]
    for name, colour in zip(wanted, colours, strict=True):
        rule = ""
        if name in OSM_PRESETS:
            rule = f", osm: {name}"
        elif name != "background":
            rule = ", osm: []"
        width = ", width_m: 7" if name == "road" else ""
        hint = "  # osm: fill in tag rules such as [landuse=forest]" if rule.endswith("[]") else ""
        lines.append(f'  - {{name: {_quoted(name)}, colour: "{colour}"{rule}{width}}}{hint}')
    return "\n".join(lines) + "\n"


def _names(text: str) -> list[str]:
    """Return the names of classes written with commas between, without the background."""
    names = [name.strip() for name in text.split(",")]
    return [name for name in names if name and name != "background"]


def _spare_colour(index: int) -> str:
    """Return a colour for a class that has none of its own; those of different places differ."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.65, 0.9 - 0.4 * (index // 12 % 2))
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _label_sections(labels: Path | None, reference: Path | None, folder: Path, *, commented: bool) -> str:
    """Return the sections ``labels`` and ``reference``."""
    precise = f"""\
reference:  # precise: the refiner learns from them inside areas.refiner; scores are taken inside areas.test
  path: {_relative(reference, "precise.gpkg", folder)}
  # layer, assume_crs, all_as, road_width_m and unknown: as for labels
"""
    return f"""\
labels:  # plentiful and imprecise: the coarse network learns from these
  path: {_relative(labels, "osm.gpkg", folder)}
  # layer: buildings  # the layer of a file that has several
  # assume_crs: EPSG:4326  # only for a file that does not declare its own; scene: drawn in the scene's coordinates
  # all_as: building  # the class of every vector feature, whatever its tags
  # road_width_m: 7  # the total width of every line, whatever its tags and its class say
  # unknown: ignore  # a mask's values or colours of no class are left out, in place of an error
  # noise: {{shift_m: 3, smooth_m: 100, omission: 0.1}}  # simulate imprecision on labels that are good

{_commented(precise) if commented else precise}"""


def _area_section(facts: _SceneFacts, *, commented: bool) -> str:
    """Return the section ``areas``: windows side by side along the longer side of the scene."""
    coarse, refiner, test = _windows(facts.shape)
    precise = f"""\
  refiner:
    - window: {refiner}
  test:
    - window: {test}
"""
    said = "" if facts.known else " These are placeholders: set them to your scene."
    return f"""\
# What ground is for. Each is a list of pieces, and pieces of different kinds never share ground. A piece is one of
#   window: [row, col, height, width]  in pixels of the scene's own file
#   bounds: [left, bottom, right, top]  with crs: EPSG:4326 where it is not the scene's
#   polygon: [[x, y], [x, y], [x, y]]  with crs likewise
#   file: areas.geojson
#{said or " Make refiner and test cover the ground where the reference is complete."}
areas:
  coarse:
    - window: {coarse}
{_commented(precise) if commented else precise}\
  # validation: a list likewise; where absent, a strip of 15 % of each piece is held out to watch learning
"""


def _windows(shape: tuple[int, int]) -> list[list[int]]:
    """Return windows [row, col, height, width] of 60, 20 and 20 % of a scene, side by side."""
    height, width = shape
    longer = max(shape)
    marks = [0, *(round(share * longer) for share in _SHARES), longer]
    spans = [(start, max(stop - start, 1)) for start, stop in itertools.pairwise(marks)]
    if width >= height:
        return [[0, start, height, length] for start, length in spans]
    return [[start, 0, length, width] for start, length in spans]


def _learning_sections(facts: _SceneFacts, *, commented: bool) -> str:
    """Return the sections ``coarse``, ``refiner`` and ``output``."""
    finer = facts.gsd_m is not None and facts.georeferenced and facts.gsd_m < 0.9 * COARSE_GSD_M
    gsd = f"  {'' if finer else '# '}gsd_m: {COARSE_GSD_M}  # the network works at this ground sampling distance"
    refiner = f"refiner:\n{_network_lines('refiner')}"
    return f"""\
coarse:
{_network_lines("coarse")}{gsd}
  # scores: {{path: coarse.tif}}  # the scores of another tool, in place of kind, gsd_m and preset

{_commented(refiner) if commented else refiner}
output:
  folder: out  # where results go
"""


def _network_lines(role: Kind) -> str:
    """Return the keys of a section that names an architecture: the default one, its options and its presets."""
    from crispmap.models.registry import architectures, default_architecture

    default = default_architecture(role)
    others = [name for name in architectures(role, trainable=True) if name != default.name]
    lines = [f"kind: {default.name}  # or {', '.join(others)}"]
    lines += [
        f"{'# ' if field.default is False else ''}{name}: {str(field.default).lower()}  # {field.description}"
        for name, field in default.options.model_fields.items()
    ]
    lines.append(f"preset: {next(iter(default.presets))}  # minutes on a CPU; paper: as published, hours")
    return "".join(f"  {line}\n" for line in lines)


def _commented(text: str) -> str:
    """Return lines as comments, to be used once there is a reference."""
    return "".join(f"# {line}" for line in text.splitlines(keepends=True))


def _relative(path: Path | None, placeholder: str, folder: Path) -> str:
    """Return a path as text for the file: counted from its folder where that is possible; an address whole."""
    from crispmap.files.address import is_address, typed

    if path is None or is_address(path):
        return _quoted(placeholder if path is None else typed(path))
    try:
        return _quoted(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())
    except ValueError:  # another drive
        return _quoted(str(path.resolve()))


def _quoted(text: str) -> str:
    """Return text as YAML reads it back, whatever it holds."""
    import yaml

    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**6)).strip()
