"""The project file as a whole."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crispmap.project.file import sections
from crispmap.project.file.dataset_section import DatasetSection
from crispmap.project.file.networks import CoarseField, CoarseSection, FinetuneField, RefinerField
from crispmap.project.file.scene_sections import SceneEntry, SceneSection
from crispmap.project.file.sections import FORMAT, GSD, AreasSection, Name, Positive, Section, key


class OutputSection(Section):
    """Where results go."""

    folder: sections.OutputPath | None = key("where results are written: the path of a folder")


class ProjectFile(Section):
    """The project file as a whole, each value checked by itself."""

    crispmap: Annotated[int, Field(ge=FORMAT, le=FORMAT)] = Field(description=f"format of the file: {FORMAT}")
    name: Name = Field(description=f"name of the project: {sections.NAME}")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = key("seed of all randomness: a whole number from 0 to 4294967295", 0)
    scene: SceneSection | None = key("the one scene: a mapping with the key path")
    scenes: Annotated[tuple[SceneEntry, ...], Field(min_length=1)] | None = key(
        "several scenes in place of scene: a list of mappings with the keys path and areas"
    )
    dataset: DatasetSection | None = key("images and masks in folders: a mapping with the key path")
    gsd_m: Positive | None = key(f"pixel size to work at with several scenes, by default the coarsest, {GSD}")
    classes: tuple[sections.ClassEntry, ...] | None = key(
        "what to map, of a data set by default its own: a list of classes, the background first"
    )
    labels: sections.LabelSection | None = key(sections.LABELS)
    reference: sections.ReferenceSection | None = key(sections.REFERENCE)
    areas: AreasSection = key(sections.AREAS, AreasSection())
    coarse: CoarseField = key("the coarse network: a mapping such as {kind: unet-lite0}", CoarseSection.default())
    finetune: FinetuneField | None = key(
        "whether the coarse network goes on with the reference, by default where its preset says how: true, false, or "
        "a mapping such as {max_steps: 80}"
    )
    refiner: RefinerField | None = key("the refiner: a mapping such as {kind: rnn, iterations: 5}")
    models: sections.ModelsSection | None = key(
        "finished models in place of trainings: a mapping such as {coarse: coarse.safetensors}"
    )
    output: OutputSection = key("results: a mapping with the key folder", OutputSection())

    @property
    def dataset_refines(self) -> bool:
        """Whether images of a data set are for a refiner."""
        return self.dataset is not None and self.dataset.split.refiner not in (None, 0.0)
