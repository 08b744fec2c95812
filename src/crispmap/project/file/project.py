"""A project: the file's values, checked for how they fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapError, ProjectError
from crispmap.geo.area_pieces import AREA_ROLES, AreaPiece
from crispmap.project.file.findings import Finding, did_you_mean, findings_of, named, project_error, shown
from crispmap.project.file.marked_yaml import MarkedYaml, read_marked_yaml
from crispmap.project.file.migration import migrated
from crispmap.project.file.networks import CoarseSection, RefinerSection
from crispmap.project.file.root import ProjectFile
from crispmap.project.file.sections import FORMAT, ClassEntry, LabelSection, ReferenceSection, SceneSection

PROJECT_FILE = "project.yaml"
"""What a project file is called where nobody names it."""


@dataclass(frozen=True)
class Project:
    """A checked project.

    Attributes:
        path: The project file.
        name: What the project is called.
        seed: From which all randomness follows.
        scene: The image.
        schema: The classes.
        labels: Imprecise labels, or None where another tool gave coarse scores.
        reference: Precise labels, or None where only a coarse map is wanted.
        areas: Pieces of ground by role; a role that is not given is absent.
        coarse: The coarse network or scores.
        refiner: The refiner; None exactly where there is no reference.
        output_folder: Where results go; it may not exist yet.
    """

    path: Path
    name: str
    seed: int
    scene: SceneSection
    schema: ClassSchema
    labels: LabelSection | None
    reference: ReferenceSection | None
    areas: Mapping[str, tuple[AreaPiece, ...]]
    coarse: CoarseSection
    refiner: RefinerSection | None
    output_folder: Path


def load_project(path: Path | str, *, check_files: bool = True) -> Project:
    """Return the project of a project file, or of the ``project.yaml`` in a folder.

    Args:
        path: The project file, or its folder.
        check_files: Whether the files it names must exist.

    Raises:
        ProjectError: If the file cannot be read, or anything in it is not as it should be.
    """
    path = Path(path)
    if path.is_dir():
        path = path / PROJECT_FILE
    marked = migrated(read_marked_yaml(path))
    file = _parse(marked, path, check_files)
    pieces, findings = _pieces(file, marked, path)
    schema, schema_findings = schema_of(file.classes)
    findings += [*schema_findings, *_contradictions(file)]
    if findings or schema is None:
        raise project_error(findings, marked, path)
    reference = file.reference
    return Project(
        path=path,
        name=file.name,
        seed=file.seed,
        scene=file.scene,
        schema=schema,
        labels=file.labels,
        reference=reference,
        areas=pieces,
        coarse=file.coarse,
        refiner=None if reference is None else file.refiner or RefinerSection.default(),
        output_folder=file.output.folder or path.parent / file.name,
    )


def _parse(marked: MarkedYaml, path: Path, check_files: bool) -> ProjectFile:
    """Return the file's values, each checked by itself."""
    if not isinstance(marked.value, dict):
        raise ProjectError(
            f"{path.name} holds {shown(marked.value)}.",
            expected="a project file: keys such as name, scene and classes",
            remedy="Write a new project file with: crispmap init",
        )
    version = marked.value.get("crispmap")
    if isinstance(version, int) and version > FORMAT:
        raise ProjectError(
            f"{path.name}, line {marked.line_of(('crispmap',))}: the file has format {shown(version)}.",
            expected=f"format {FORMAT}, which this version of crispmap reads",
            remedy="Use a newer crispmap, or write a new project file with: crispmap init",
        )
    context = {"folder": path.parent, "check_files": check_files}
    try:
        return ProjectFile.model_validate(marked.value, context=context)
    except ValidationError as error:
        raise project_error(findings_of(error, ProjectFile, marked.value), marked, path) from error


def schema_of(entries: Sequence[ClassEntry]) -> tuple[ClassSchema | None, list[Finding]]:
    """Return the schema of the classes of a file, or what is wrong with them, found under the key ``classes``."""
    classes = []
    findings = []
    for index, entry in enumerate(entries):
        try:
            classes.append(entry.class_def())
        except CrispmapError as error:
            findings.append(Finding(("classes", index), error.given.rstrip("."), error.expected, error.remedy))
    if findings:
        return None, findings
    try:
        return ClassSchema(tuple(classes)), []
    except CrispmapError as error:
        return None, [Finding(("classes",), error.given.rstrip("."), error.expected, error.remedy)]


def _pieces(
    file: ProjectFile, marked: MarkedYaml, path: Path
) -> tuple[dict[str, tuple[AreaPiece, ...]], list[Finding]]:
    """Return the pieces of ground by role, and what is wrong with some."""
    pieces: dict[str, tuple[AreaPiece, ...]] = {}
    findings = []
    for role in AREA_ROLES:
        good = []
        for index, entry in enumerate(getattr(file.areas, role) or ()):
            at = ("areas", role, index)
            name = named(at)
            try:
                piece = entry.piece(name)
            except ProjectError as error:
                findings.append(Finding(at, error.given.rstrip("."), error.expected, error.remedy))
            else:
                good.append(replace(piece, origin=f"{name} ({path.name}, line {marked.line_of(at)})"))
        if good:
            pieces[role] = tuple(good)
    return pieces, findings


def _contradictions(file: ProjectFile) -> Iterator[Finding]:
    """Yield what is wrong with how the values of a file fit together."""
    yield from _contradictions_of_sources(file)
    yield from _contradictions_of_refiner(file)
    yield from _contradictions_of_reference(file)
    yield from _contradictions_of_classes(file)
    fine, coarse = file.scene.gsd_m, file.coarse.gsd_m
    if fine is not None and coarse is not None and coarse < fine:
        yield Finding(
            ("coarse", "gsd_m"),
            f"coarse.gsd_m is {coarse:g}, finer than scene.gsd_m, {fine:g}",
            "a ground sampling distance as coarse as the scene's, or coarser",
            "Raise coarse.gsd_m, or lower scene.gsd_m.",
        )


def _contradictions_of_classes(file: ProjectFile) -> Iterator[Finding]:
    """Yield where a class is named that there is not."""
    names = [entry.name for entry in file.classes]
    for key, section in (("labels", file.labels), ("reference", file.reference)):
        if section is not None and section.all_as is not None and section.all_as not in names:
            yield Finding(
                (key, "all_as"),
                f"{key}.all_as is {section.all_as!r}, which is no class",
                f"one of {', '.join(names)}",
                did_you_mean(section.all_as, names),
            )


def _contradictions_of_sources(file: ProjectFile) -> Iterator[Finding]:
    """Yield what is wrong with where coarse scores come from."""
    if file.coarse.scores is not None:
        beside = sorted(file.coarse.model_fields_set - {"scores"})
        if beside:
            yield Finding(
                ("coarse", beside[0]),
                f"coarse gives scores and {', '.join(beside)} too",
                "either scores of another tool, or a network to train",
                f"Remove {', '.join(beside)}, or remove scores.",
            )
        if file.reference is None:
            yield Finding(
                ("coarse", "scores"),
                "coarse gives scores, but there is no reference",
                "a reference the refiner learns from",
                "Add reference, areas.refiner and areas.test.",
            )
        return
    if file.labels is None:
        yield Finding(
            (),
            "there are neither labels nor coarse.scores",
            "labels the coarse network learns from, or scores of another tool",
            "Add labels: {path: ...}, or coarse: {scores: {path: ...}}.",
        )
    elif file.areas.coarse is None:
        yield Finding(
            ("areas",),
            "areas.coarse is missing",
            "the ground the coarse network learns from",
            "Add areas: coarse with a window, bounds, polygon or file.",
        )


def _contradictions_of_refiner(file: ProjectFile) -> Iterator[Finding]:
    """Yield what is set of the refiner that another choice rules out."""
    refiner = file.refiner
    if refiner is None:
        return
    if refiner.corrected_labels and refiner.architecture.learner != "gradient":
        yield Finding(
            ("refiner", "corrected_labels"),
            f"refiner gives corrected_labels: true, but {refiner.kind} is fitted to a few numbers",
            "a refiner that is trained in steps",
            "Remove corrected_labels, or choose another kind.",
        )
    if refiner.corrected_labels and file.coarse.scores is not None:
        yield Finding(
            ("refiner", "corrected_labels"),
            "refiner gives corrected_labels: true, but the coarse scores are given",
            "a coarse network of its own: scores of its area come from networks that did not learn there",
            "Remove corrected_labels, or name a network under coarse: in place of scores.",
        )


def _contradictions_of_reference(file: ProjectFile) -> Iterator[Finding]:
    """Yield what is wrong with what needs the precise reference, or is needed by it."""
    if file.reference is not None:
        for role in ("refiner", "test"):
            if getattr(file.areas, role) is None:
                yield Finding(
                    ("areas",),
                    f"a reference is given, but areas.{role} is missing",
                    "areas.refiner, where the refiner learns, and areas.test, where scores are taken",
                    f"Add areas: {role} with a window, bounds, polygon or file.",
                )
        return
    needing = {
        "refiner": file.refiner,
        "areas.refiner": file.areas.refiner,
        "areas.test": file.areas.test,
    }
    for key, value in needing.items():
        if value is not None:
            yield Finding(
                tuple(key.split(".")),
                f"{key} is given, but there is no reference",
                "a precise reference to learn from or to score against",
                f"Add reference: {{path: ...}}, or remove {key}.",
            )
