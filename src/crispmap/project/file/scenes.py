"""The scenes of a project, each with the labels, reference, scores and areas that belong to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from crispmap.errors import ProjectError
from crispmap.files.address import name_of
from crispmap.geo.area_pieces import AREA_ROLES, AreaPiece
from crispmap.project.file.findings import Finding, named
from crispmap.project.file.marked_yaml import Location, MarkedYaml
from crispmap.project.file.root import ProjectFile
from crispmap.project.file.sections import AreasSection, LabelSection, ReferenceSection, ScoreSource
from crispmap.raster.refs import SceneRef


@dataclass(frozen=True)
class ProjectScene:
    """One scene of a project; what it does not have is None."""

    name: str  # different for every scene
    path: Path  # of a raster, or its address
    ref: SceneRef  # how it is read
    labels: LabelSection | None = None
    reference: ReferenceSection | None = None
    scores: ScoreSource | None = None
    areas: Mapping[str, tuple[AreaPiece, ...]] = field(default_factory=dict)  # by role
    at: Location = ()  # in the project file
    mapped: bool = True  # whether a map is made of it; of a data set's images that train, none is

    @property
    def images(self) -> dict[str, Path]:
        """Its rasters, by what they are: one, or the file of each band."""
        if self.ref.composition is None:
            return {"path": self.path}
        return {one.name: Path(one.file) for one in self.ref.composition.sources}


def scenes_of(file: ProjectFile, marked: MarkedYaml, path: Path) -> tuple[tuple[ProjectScene, ...], list[Finding]]:
    """Return the scenes of a project file, and what is wrong with them."""
    given = [key for key in ("scene", "scenes", "dataset") if getattr(file, key) is not None]
    if len(given) != 1:
        found = "neither scene nor scenes is given" if not given else f"{' and '.join(given)} are both given"
        remedy = "Name one scene under scene:, several under scenes: in a list, or a folder of pairs under dataset:."
        at: Location = (given[-1],) if given else ()
        return (), [Finding(at, found, "one of scene, scenes and dataset", remedy)]
    if file.scene is not None:
        areas, findings = _pieces(file.areas, (), marked, path)
        one, scores = file.scene, file.coarse.scores
        scene = ProjectScene(name_of(one.path), one.path, one.ref)
        return (replace(scene, labels=file.labels, reference=file.reference, scores=scores, areas=areas),), findings
    scenes, findings = list[ProjectScene](), list[Finding]()
    for index, entry in enumerate(file.scenes or ()):
        areas, wrong = _pieces(entry.areas, ("scenes", index), marked, path)
        findings += wrong
        scene = ProjectScene(entry.name or name_of(entry.path), entry.path, entry.ref)
        labels, reference = entry.labels or file.labels, entry.reference or file.reference
        scenes.append(
            replace(scene, labels=labels, reference=reference, scores=entry.scores, areas=areas, at=("scenes", index))
        )
    return tuple(scenes), [*findings, *_same_names(scenes)]


def _same_names(scenes: list[ProjectScene]) -> list[Finding]:
    counts = Counter(one.name.casefold() for one in scenes)
    return [
        Finding(one.at, f"{named(one.at)} has the name {one.name!r}, like another", "a name of its own", "Add name:.")
        for one in scenes
        if counts[one.name.casefold()] > 1
    ]


def _pieces(
    areas: AreasSection, at: Location, marked: MarkedYaml, path: Path
) -> tuple[dict[str, tuple[AreaPiece, ...]], list[Finding]]:
    pieces: dict[str, tuple[AreaPiece, ...]] = {}
    findings = []
    for role in AREA_ROLES:
        good = []
        for index, entry in enumerate(getattr(areas, role) or ()):
            here = (*at, "areas", role, index)
            try:
                piece = entry.piece(named(here))
            except ProjectError as error:
                findings.append(Finding(here, error.given.rstrip("."), error.expected, error.remedy))
            else:
                good.append(replace(piece, origin=f"{named(here)} ({path.name}, line {marked.line_of(here)})"))
        if getattr(areas, role):
            pieces[role] = tuple(good)
    return pieces, findings
