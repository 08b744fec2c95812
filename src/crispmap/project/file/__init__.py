"""The project file: everything a map is made from, checked before any of it is used.

A project file is YAML. ``load_project`` reads it, checks every value and how the values fit together, and returns a
frozen ``Project``; paths in it count from its folder. Every error names the file, the line, what was given, what is
expected and the remedy; all errors of a file are reported at once.
"""

from crispmap.project.file.classes_file import load_classes
from crispmap.project.file.networks import CoarseSection, FinetuneSection, RefinerSection
from crispmap.project.file.project import Project, load_project
from crispmap.project.file.scenes import ProjectScene

__all__ = [
    "CoarseSection",
    "FinetuneSection",
    "Project",
    "ProjectScene",
    "RefinerSection",
    "load_classes",
    "load_project",
]
