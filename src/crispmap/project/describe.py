"""Facts about any file: a scene, a class map, a model, vectors or a project; readers are imported when needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from crispmap.errors import InputError, LabelError, SceneError
from crispmap.files.address import is_address, is_missing, is_remote, shown, suffix_of
from crispmap.geo.area_pieces import AREA_ROLES

if TYPE_CHECKING:
    from crispmap.labels.mask_values import MaskValues
    from crispmap.project.file import Project
    from crispmap.raster.describe import RasterFacts


class FileFacts(Protocol):
    """What a file holds."""

    @property
    def kind(self) -> str:
        """What the file is, such as "scene" or "coarse model"."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the kind first."""


@dataclass(frozen=True)
class ProjectFacts:
    """The facts of a project file; files it names may be missing."""

    project: Project
    kind = "project"

    @property
    def files(self) -> dict[str, Path]:
        """The inputs it names, by what they are for."""
        found: dict[str, Path] = {}
        if self.project.data_set is not None:
            return {"data set": self.project.data_set.section.path} | self._models
        for one in self.project.scenes:
            end = "" if len(self.project.scenes) == 1 else f" of {one.name}"
            composed = one.ref.composition is not None
            found |= {f"scene{end}{f', {name}' if composed else ''}": path for name, path in one.images.items()}
            sections = {"labels": one.labels, "reference": one.reference, "coarse scores": one.scores}
            found |= {f"{name}{end}": section.path for name, section in sections.items() if section is not None}
        return found | self._models

    def _finetuning(self) -> dict[str, Any] | None:
        """Return how the network is fine-tuned: the preset, and what is set otherwise."""
        finetune, preset = self.project.finetune, self.project.coarse.preset
        return None if finetune is None else {"preset": preset, **finetune.model_dump(exclude_none=True)}

    @property
    def _models(self) -> dict[str, Path]:
        return {f"{name} model": path for name, path in self.project.models.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the kind first."""
        project = self.project
        coarse = project.coarse.model_dump(exclude_none=True, exclude={"scores"})
        counts = {role: sum(len(one.areas.get(role, ())) for one in project.scenes) for role in AREA_ROLES}
        return {
            "kind": self.kind,
            "path": project.path,
            "name": project.name,
            "seed": project.seed,
            "classes": project.schema.legend(),
            "files": [
                {"for": name, "path": shown(one), "exists": is_address(one) or one.exists()}
                for name, one in self.files.items()
            ],
            **({} if project.data_set is None else {"data_set": project.data_set.to_dict()}),
            "areas": {role: count for role, count in counts.items() if count},
            "coarse": None if project.scores_given or project.models else coarse,
            "finetune": self._finetuning(),
            "refiner": None if project.refiner is None else project.refiner.model_dump(exclude_none=True),
            "output_folder": project.output_folder,
        }


def describe(path: str | Path) -> FileFacts:
    """Return the facts of a file or an address."""
    path = Path(path)
    suffix = suffix_of(path)
    if "#" in str(path):
        from crispmap.raster.describe import describe_raster, names_assets

        if names_assets(path):
            return describe_raster(path)
    if is_missing(path):
        raise InputError(f"There is no file {path}.", expected="a file that exists", remedy="Check the path.")
    if suffix in (".yaml", ".yml") or (path.is_dir() and suffix != ".gdb"):
        from crispmap.project.file import load_project

        return ProjectFacts(load_project(path, check_files=False))
    if suffix == ".safetensors":
        from crispmap.models.describe import describe_model

        return describe_model(path)
    return _describe_raster_or_vectors(path)


@dataclass(frozen=True)
class MaskFacts:
    """The facts about a raster that can be a mask or is a class map, and the classes proposed for it."""

    raster: RasterFacts
    values: MaskValues

    @property
    def kind(self) -> str:
        """Whether it is a class map, whose classes are known, or a mask."""
        return "mask" if self.raster.schema is None else self.raster.kind

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the kind first."""
        from crispmap.labels.propose import classes_of_mask

        facts = {**self.raster.to_dict(), "kind": self.kind, "values": self.values.rows(self.raster.schema)}
        if self.values.sampled:
            facts["values_are_of"] = "a sample"
        proposed = classes_of_mask(self.values) if self.raster.schema is None else None
        if proposed is not None:
            facts |= {"proposed_classes": proposed.legend, **{f"proposed_{k}": v for k, v in proposed.options.items()}}
        return facts


def _described_mask(path: Path, raster: RasterFacts) -> FileFacts:
    """Return the facts about a raster, with its values where they can be those of a mask."""
    from crispmap.files.dataset import open_dataset
    from crispmap.labels.mask_values import mask_values

    if is_remote(path):  # what there is to read may be large
        return raster
    with open_dataset(path) as dataset:
        values = mask_values(dataset, shown(path))
    several = values is not None and (len(values.shares) > 1 or raster.schema is not None)
    return MaskFacts(raster, values) if values is not None and several else raster


def _describe_raster_or_vectors(path: Path) -> FileFacts:
    """Return the facts of a raster or vectors; the name may not show which."""
    from crispmap.labels.describe import VECTOR_SUFFIXES, describe_vectors
    from crispmap.labels.mask import is_vector_file
    from crispmap.labels.outlines_as_text import text_outlines
    from crispmap.raster.describe import describe_raster

    if suffix_of(path) in VECTOR_SUFFIXES or text_outlines(path) is not None:
        return describe_vectors(path)
    try:
        return _described_mask(path, describe_raster(path))
    except SceneError as scene_error:
        if is_remote(path) and not is_vector_file(path):
            raise
        try:
            return describe_vectors(path)
        except LabelError as error:
            if suffix_of(path) == ".json":
                raise
            raise scene_error from error
