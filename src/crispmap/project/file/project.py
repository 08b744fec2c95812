"""A project: the file's values, checked for how they fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapError, ProjectError
from crispmap.project.file.contradictions import GENERAL, contradictions
from crispmap.project.file.findings import Finding, findings_of, project_error, shown
from crispmap.project.file.marked_yaml import MarkedYaml, read_marked_yaml
from crispmap.project.file.migration import migrated
from crispmap.project.file.networks import CoarseSection, FinetuneSection, RefinerSection
from crispmap.project.file.root import ProjectFile
from crispmap.project.file.scenes import ProjectScene, scenes_of
from crispmap.project.file.sections import FORMAT, ClassEntry

if TYPE_CHECKING:
    from crispmap.project.pairs.expand import DataSet

PROJECT_FILE = "project.yaml"  # the default name of a project file
_CLASSES = "what to map: a list of classes, the background first"


@dataclass(frozen=True)
class Project:
    """A checked project."""

    path: Path
    name: str
    seed: int  # of all randomness
    scenes: tuple[ProjectScene, ...]  # one or more
    gsd_m: float | None  # to work at; None means the scene's own, with several scenes the coarsest
    schema: ClassSchema
    coarse: CoarseSection
    refiner: RefinerSection | None  # to train; None without a reference, and where models are finished
    output_folder: Path  # may not exist yet
    # files of finished models by "coarse" and "refiner"; where there are any, nothing is trained
    models: Mapping[str, Path] = field(default_factory=dict)
    finetune: FinetuneSection | None = None  # how the coarse network goes on with the reference; None: it does not
    data_set: DataSet | None = None  # what the scenes are images of, where they are those of a data set

    @property
    def mapped(self) -> list[ProjectScene]:
        """The scenes that maps are made of."""
        return [one for one in self.scenes if one.mapped]

    def has_area(self, role: str) -> bool:
        """Return whether any scene has an area for a role."""
        return any(role in one.areas for one in self.scenes)

    @property
    def learns_refiner(self) -> bool:
        """Whether its refiner learns from a precise piece; the shipped one is taken as it is where there is none."""
        if self.refiner is None or self.refiner.kind != GENERAL or not self.scenes:  # arrays have pieces, not areas
            return self.refiner is not None
        return self.has_reference and self.has_area("refiner")

    @property
    def refines(self) -> bool:
        """Whether it has a refiner: one to train, or a finished one."""
        return self.refiner is not None or "refiner" in self.models

    @property
    def sharpens(self) -> bool:
        """Whether the coarse map is followed by another: a fine-tuned network's, or a refined one."""
        return self.finetune is not None or self.refines

    @property
    def has_labels(self) -> bool:
        """Whether any scene has imprecise labels."""
        return any(one.labels is not None for one in self.scenes)

    @property
    def has_reference(self) -> bool:
        """Whether any scene has precise labels."""
        return any(one.reference is not None for one in self.scenes)

    @property
    def scores_given(self) -> bool:
        """Whether another tool gave the coarse scores."""
        return any(one.scores is not None for one in self.scenes)


def load_project(path: Path | str, *, check_files: bool = True) -> Project:
    """Return the project of a project file, or of the ``project.yaml`` in a folder."""
    path = Path(path)
    if path.is_dir():
        path = path / PROJECT_FILE
    marked = migrated(read_marked_yaml(path))
    file = _parse(marked, path, check_files)
    schema, findings = schema_of(file.classes) if file.classes is not None else (None, [])
    scenes: tuple[ProjectScene, ...] = ()
    if file.dataset is None:
        scenes, of_scenes = scenes_of(file, marked, path)
        findings += of_scenes
    if scenes or file.dataset is not None:
        findings += contradictions(file, scenes)
    if findings:
        raise project_error(findings, marked, path)
    data_set = None
    if file.dataset is not None:
        from crispmap.project.pairs.expand import open_data_set  # which reads sections of this package

        data_set = open_data_set(file.dataset, schema, file.seed)
        schema, scenes = data_set.schema, data_set.scenes()
    if schema is None:
        raise project_error([Finding(("classes",), "classes is missing", _CLASSES, "Add classes.")], marked, path)
    models = {} if file.models is None else file.models.model_dump(exclude_none=True)
    finetune = _finetune(file, scenes)
    return Project(
        path=path, name=file.name, seed=file.seed, scenes=scenes,
        gsd_m=file.gsd_m if file.scene is None else file.scene.gsd_m, schema=schema, coarse=file.coarse,
        refiner=_refiner_of(file, scenes, finetune), finetune=finetune, models=models, data_set=data_set,
        output_folder=file.output.folder or path.parent / file.name,
    )  # fmt: skip


def _precise(file: ProjectFile, scenes: Sequence[ProjectScene]) -> bool:
    """Return whether there is something to train on precise labels: a reference, and an area for it."""
    if file.models is not None or all(one.reference is None for one in scenes):
        return False
    return any("refiner" in one.areas for one in scenes)


def _finetune(file: ProjectFile, scenes: Sequence[ProjectScene]) -> FinetuneSection | None:
    """Return how a file's coarse network is fine-tuned: as it says, or where the preset of the network says how."""
    if not _precise(file, scenes) or any(one.scores is not None for one in scenes) or file.finetune is False:
        return None
    preset = file.coarse.architecture.presets.get(file.coarse.preset)
    by_default = preset is not None and preset.finetuning is not None
    return file.finetune or (FinetuneSection() if by_default else None)


def _refiner_of(
    file: ProjectFile, scenes: Sequence[ProjectScene], finetune: FinetuneSection | None
) -> RefinerSection | None:
    """Return the refiner to train: the one the file names, or the default one where nothing is fine-tuned."""
    if file.refiner is not None and file.refiner.kind == GENERAL and file.models is None:
        return file.refiner  # which needs nothing to learn from
    if not _precise(file, scenes) or (file.refiner is None and file.coarse.squares is not None):
        return None  # maps of squares are refined only where that is asked for: a refiner's map is of pixels
    return file.refiner or (RefinerSection.default() if finetune is None else None)


def _parse(marked: MarkedYaml, path: Path, check_files: bool) -> ProjectFile:
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
