"""The text of a new project file, with everything that may be set and what there is to choose from.

Names, defaults and choices come from the sections that check the file, so that the text cannot fall behind them.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crispmap.classes import ClassDef, ClassSchema
from crispmap.files.address import is_address, typed
from crispmap.labels.osm import OSM_PRESETS
from crispmap.labels.proposal import ProposedClasses
from crispmap.models.architecture import Kind
from crispmap.models.registry import architectures, default_architecture
from crispmap.project.file.sections import FORMAT

_SHARES = (0.6, 0.8)  # where the refiner's and the test area begin along the longer side of the scene


@dataclass(frozen=True)
class ProjectInputs:
    """The files of a project; None where they are not known yet."""

    scene: Path | None = None
    labels: Path | None = None
    reference: Path | None = None

    @property
    def given(self) -> tuple[Path, ...]:
        """Those that are known."""
        return tuple(path for path in (self.scene, self.labels, self.reference) if path is not None)


@dataclass(frozen=True)
class SceneSize:
    """What a proposal needs of the scene; by default placeholders, for a scene that is not known."""

    shape: tuple[int, int] = (1000, 1000)
    gsd_m: float | None = None
    georeferenced: bool = True
    known: bool = False


def project_text(target: Path, inputs: ProjectInputs, classes: ProposedClasses, size: SceneSize) -> str:
    """Return the text of a project file that ``load_project`` reads once its inputs exist.

    Paths count from the folder of ``target``. Without a reference, what needs one is commented out.
    """
    folder, commented = target.parent, bool(inputs.given) and inputs.reference is None
    sections = (
        _head(target),
        _scene_section(inputs.scene, folder, size),
        _class_section(classes),
        _label_sections(inputs, folder, classes, commented=commented),
        _area_section(size, commented=commented),
        _learning_sections(size, commented=commented),
    )
    return "\n".join(sections)


@dataclass(frozen=True)
class DataSetProposal:
    """What the file of a project on a data set says of it."""

    section: Mapping[str, Any]  # the keys of dataset: but the path
    folder: Path
    classes: Sequence[tuple[ClassDef, float]]  # with their share of the labelled pixels
    seed: int
    gsd_m: float
    summary: str  # in a comment


def data_set_text(target: Path, proposal: DataSetProposal) -> str:
    """Return the text of a project file on a data set, which trains as it is."""
    split = proposal.section.get("split")
    keys = {name: value for name, value in proposal.section.items() if name != "split"}
    lines = [f"  {name}: {_flow(value)}\n" for name, value in keys.items()]
    roles = f"  split: {_flow(split)}" if split else "  # split: {test: 0.2, validation: 0.1}"
    own = "" if split else "; by default the set's own folders and lists"
    classes = "".join(
        f'  - {{name: {_quoted(one.name)}, colour: "{one.colour}"}}  # {100 * share:.3g} % of the labelled pixels\n'
        for one, share in proposal.classes
    )
    size = SceneSize(gsd_m=proposal.gsd_m)
    return f"""\
{_head(target, proposal.seed)}
dataset:  # {proposal.summary}
  path: {_relative(proposal.folder, "data", target.parent)}
{"".join(lines)}\
{roles}  # shares, lists of ids or files of ids{own}; the rest trains
  # refiner: with a share under split, a refiner is trained too; precise masks need none
  # unknown: error  # stop at pixels of no class; by default they are left out and counted
  # damaged: skip  # leave out pairs that cannot be used; by default they are an error

# The classes, with the colours of the masks, or in the order of their values.
classes:
{classes}
{_learning_sections(size, commented=True)}"""


def _flow(value: object) -> str:
    return (
        str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6))
        .removesuffix("...\n")
        .strip()
    )


def proposed_windows(shape: tuple[int, int]) -> list[list[int]]:
    """Return windows [row, col, height, width] of 60, 20 and 20 % of a scene, side by side along its longer side."""
    height, width = shape
    longer = max(shape)
    marks = [0, *(round(share * longer) for share in _SHARES), longer]
    spans = [(start, max(stop - start, 1)) for start, stop in itertools.pairwise(marks)]
    if width >= height:
        return [[0, start, height, length] for start, length in spans]
    return [[start, 0, length, width] for start, length in spans]


def _head(target: Path, seed: int = 0) -> str:
    name = re.sub(r"[^\w.+-]+", " ", target.parent.resolve().name).strip(" .+-")[:100] or "project"
    return f"""\
# A crispmap project: everything the map of a scene is made from.
# Paths count from the folder of this file. To check the file: crispmap info {shlex.quote(str(target))}

crispmap: {FORMAT}  # the format of this file
name: {_quoted(name)}
seed: {seed}  # the same seed gives the same map
"""


def _scene_section(scene: Path | None, folder: Path, size: SceneSize) -> str:
    note = ""
    if size.known:
        height, width = size.shape
        pixel = f" of {size.gsd_m:.3g} m" if size.georeferenced else ", without georeference"
        note = f"  # {height} rows x {width} columns of pixels{pixel}\n"
    assume = "  assume_gsd_m: 1.0" if not size.georeferenced else "  # assume_gsd_m: 1.0"
    return f"""\
scene:
  path: {_relative(scene, "scene.tif", folder)}
{note}\
  # bands: [1, 2, 3]  # bands to use, counted from 1; by default all
  # gsd_m: 0.5  # work at this ground sampling distance, in metres a pixel; by default the scene's own
{assume}  # the ground sampling distance of a scene without georeference: set it right
"""


def _class_section(classes: ProposedClasses) -> str:
    ClassSchema(tuple(map(ClassDef, classes.names, classes.colours)))
    lines = [
        "# The classes in the order they are drawn: where two overlap, the later wins. The first is the background,",
        "# what no feature covers. osm takes tag rules such as [building=*], or the name of a preset:",
        f"# {', '.join(OSM_PRESETS)}.",
        "classes:",
        *(
            _class_line(*one, rules=classes.rules, tags=classes.tags)
            for one in zip(classes.names, classes.colours, strict=True)
        ),
    ]
    return "\n".join(lines) + "\n"


def _class_line(name: str, colour: str, *, rules: bool, tags: Mapping[str, str]) -> str:
    """Return the entry of one class, with a hint where its rules have yet to be written."""
    rule = hint = ""
    if name in tags:
        rule = f", osm: [{_quoted(tags[name])}]"
    elif rules and name in OSM_PRESETS:
        rule = f", osm: {name}"
    elif rules and name != "background":
        rule, hint = ", osm: []", "  # osm: fill in tag rules such as [landuse=forest]"
    width = ", width_m: 7" if name == "road" else ""
    return f'  - {{name: {_quoted(name)}, colour: "{colour}"{rule}{width}}}{hint}'


def _label_sections(inputs: ProjectInputs, folder: Path, classes: ProposedClasses, *, commented: bool) -> str:
    labels = f"""\
labels:  # plentiful and imprecise: the coarse network learns from these
  path: {_relative(inputs.labels, "osm.gpkg", folder)}
  # layer: buildings  # the layer of a file that has several
  # encoding: latin-1  # of the text of a vector file that says another, or none
  # assume_crs: EPSG:4326  # only for a file that does not declare its own; scene: drawn in the scene's coordinates
  # all_as: building  # the class of every vector feature, whatever its tags
  # road_width_m: 7  # the total width of every line, whatever its tags and its class
  # unknown: ignore  # leave out values or colours of a mask that are no class; by default an error
  # tolerance: 16  # how far colours of a mask may be from those of classes, in each channel
  # threshold: 128  # grey values of a mask from this on are the second of two classes
  # align: true  # move each polygon to where the scene shows it; nothing is learned of the doubtful
  # noise: {{shift_m: 3, smooth_m: 100, omission: 0.1}}  # simulate noise on good labels
"""
    for name, value in classes.options.items():
        labels = re.sub(rf"(?m)^  # {name}: \S+", f"  {name}: {value}", labels)
    precise = f"""\
reference:  # precise: the refiner learns from them inside areas.refiner; maps are scored inside areas.test
  path: {_relative(inputs.reference, "precise.gpkg", folder)}
  # layer, encoding, assume_crs, all_as, road_width_m, unknown, tolerance and threshold: as for labels
"""
    precise += "".join(f"  {name}: {value}\n" for name, value in classes.reference_options.items())
    return f"{labels}\n{_commented(precise) if commented else precise}"


def _area_section(size: SceneSize, *, commented: bool) -> str:
    coarse, refiner, test = proposed_windows(size.shape)
    precise = f"""\
  refiner:
    - window: {refiner}
  test:
    - window: {test}
"""
    note = "" if size.known else " These are placeholders: set them to your scene."
    return f"""\
# What each area is used for: a list of pieces. Areas of different roles must not overlap. A piece is one of
#   window: [row, col, height, width]  in pixels of the scene's own file
#   bounds: [left, bottom, right, top]  with crs: EPSG:4326 where it is not the scene's
#   polygon: [[x, y], [x, y], [x, y]]  with crs likewise
#   file: areas.geojson
#{note or " refiner and test must be where the reference is complete."}
areas:
  coarse:
    - window: {coarse}
{_commented(precise) if commented else precise}\
  # validation: a list likewise; by default a strip of 15 % of each piece is held out
"""


def _learning_sections(size: SceneSize, *, commented: bool) -> str:
    refiner = (
        "# finetune: false  # the network goes on with the reference, unless this says that it does not\n"
        f"# refiner:  # sharpens the scores of the network\n{_commented(_network_lines('refiner'))}"
    )
    return f"""\
coarse:
{_network_lines("coarse")}{_gsd_line(size)}
  # scores: {{path: coarse.tif}}  # the scores of another tool, in place of kind, gsd_m and preset

{_commented(refiner) if commented else refiner}
output:
  folder: out  # where results go
"""


def _gsd_line(size: SceneSize) -> str:
    """Return the line of the pixel size that the network works at: commented out where it works at any."""
    made_for = default_architecture("coarse").made_for_gsd_m
    known = size.gsd_m is not None and size.georeferenced
    finer = made_for is not None and known and (size.gsd_m or 0) < 0.9 * made_for
    return f"  {'' if finer else '# '}gsd_m: {made_for or 1.0}  # the network works at this ground sampling distance"


def _network_lines(role: Kind) -> str:
    default = default_architecture(role)
    others = [name for name in architectures(role, trainable=True) if name != default.name]
    lines = [f"kind: {default.name}  # or {', '.join(others)}"]
    lines += [
        f"{'# ' if field.default is False else ''}{name}: {str(field.default).lower()}  # {field.description}"
        for name, field in default.options.model_fields.items()
    ]
    first, *rest = default.presets
    lines.append(f"preset: {first}  # minutes on a CPU; {' or '.join(rest)}: hours")
    return "".join(f"  {line}\n" for line in lines)


def _commented(text: str) -> str:
    return "".join(f"# {line}" for line in text.splitlines(keepends=True))


def _relative(path: Path | None, placeholder: str, folder: Path) -> str:
    """Return a path as text, counted from a folder where that is possible; an address as it is."""
    if path is None or is_address(path):
        return _quoted(placeholder if path is None else typed(path))
    try:
        return _quoted(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())
    except ValueError:  # another drive
        return _quoted(str(path.resolve()))


def _quoted(text: str) -> str:
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**6)).strip()
