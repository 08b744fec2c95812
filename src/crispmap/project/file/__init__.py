"""The project file: everything a map is made from, checked before any of it is used.

A project file is YAML. ``load_project`` reads it, checks every value and how the values fit together, and
returns a frozen ``Project``; paths in it count from the folder the file lies in. Every error names the file,
the line, what was given, what is expected and the remedy; all errors of a file are told at once.
"""

from crispmap.project.file.classes_file import load_classes
from crispmap.project.file.networks import CoarseSection, RefinerSection
from crispmap.project.file.project import PROJECT_FILE, Project, load_project
from crispmap.project.file.scenes import ProjectScene
from crispmap.project.file.sections import (
    FORMAT,
    LabelSection,
    NoiseSection,
    ReferenceSection,
    ScoreSource,
)

__all__ = [
    "FORMAT",
    "PROJECT_FILE",
    "CoarseSection",
    "LabelSection",
    "NoiseSection",
    "Project",
    "ProjectScene",
    "ReferenceSection",
    "RefinerSection",
    "ScoreSource",
    "load_classes",
    "load_project",
]
