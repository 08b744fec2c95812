"""Classes from a file: of a project, or of a file with nothing else."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from crispmap.classes import ClassSchema
from crispmap.project.file.findings import findings_of, project_error
from crispmap.project.file.marked_yaml import MarkedYaml, read_marked_yaml
from crispmap.project.file.project import load_project, schema_of
from crispmap.project.file.sections import ClassEntry


class ClassesFile(BaseModel):
    """A file with nothing but classes."""

    classes: tuple[ClassEntry, ...] = Field(description="a list of classes, the background first")


def load_classes(path: Path) -> ClassSchema:
    """Return the classes of a project file or its folder, or of a YAML file with a list of classes.

    Such a list is written as under ``classes:`` of a project file, with or without that key.
    """
    if path.is_dir():
        return load_project(path, check_files=False).schema
    marked = read_marked_yaml(path)
    if isinstance(marked.value, list | tuple):
        lines = {("classes", *at): line for at, line in marked.lines.items()}
        marked = MarkedYaml({"classes": marked.value}, lines)
    elif not isinstance(marked.value, dict) or set(marked.value) != {"classes"}:
        return load_project(path, check_files=False).schema
    try:
        file = ClassesFile.model_validate(marked.value)
    except ValidationError as error:
        raise project_error(findings_of(error, ClassesFile, marked.value), marked, path) from error
    schema, findings = schema_of(file.classes)
    if schema is None:
        raise project_error(findings, marked, path)
    return schema
