"""The methods of comparisons: coarse networks, alone or with a refiner on their scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crispmap.errors import InputError
from crispmap.models.architecture import Architecture
from crispmap.models.registry import architectures
from crispmap.project.file import CoarseSection, Project, RefinerSection
from crispmap.project.file.findings import did_you_mean

GIVEN = "given"
"""The coarse "network" of a project whose scores another tool gave."""


@dataclass(frozen=True)
class RefinerRow:
    """A refiner in a comparison."""

    kind: str  # the architecture
    values: Mapping[str, Any] = field(default_factory=dict)  # keys of the project's refiner section that it sets

    @property
    def corrects_labels(self) -> bool:
        """Whether it learns from corrected labels too."""
        return bool(self.values.get("corrected_labels"))


def refiner_rows() -> dict[str, RefinerRow]:
    """Return the refiners of comparisons: each architecture's variants, itself, and with corrected labels."""
    rows = {}
    for name, one in architectures("refiner", trainable=True).items():
        learned = {"corrected_labels": False} if one.learner == "gradient" else {}
        for suffix, options in one.variants.items():
            rows[f"{name}-{suffix}"] = RefinerRow(name, {**options, **learned})
        rows[name] = RefinerRow(name, {**_defaults(one), **learned})
        if learned:
            rows[f"{name}-corrected"] = RefinerRow(name, {**_defaults(one), "corrected_labels": True})
    return rows


def _defaults(architecture: Architecture) -> dict[str, Any]:
    """Return the options in which an architecture differs from its variants, at their defaults."""
    keys = {key for options in architecture.variants.values() for key in options}
    return {key: architecture.options.model_fields[key].default for key in keys}


def coarse_names() -> tuple[str, ...]:
    """Return the coarse networks of comparisons."""
    return tuple(architectures("coarse", trainable=True))


@dataclass(frozen=True)
class Method:
    """A coarse network, alone or with a refiner."""

    coarse: str  # one of coarse_names, or GIVEN
    refiner: str | None = None  # one of refiner_rows, or None

    @property
    def name(self) -> str:
        """Its name in tables, options and folders, such as "fcn-rnn+crf"."""
        return self.coarse if self.refiner is None else f"{self.coarse}+{self.refiner}"

    @property
    def alone(self) -> Method:
        """Its coarse network without a refiner."""
        return Method(self.coarse)


def coarse_name(project: Project) -> str:
    """Return the name of a project's own coarse scores: its network, or ``GIVEN``."""
    return GIVEN if project.scores_given else project.coarse.kind


def own_method(project: Project) -> Method:
    """Return the method a project trains and predicts with, which the others are compared with."""
    section = project.refiner or RefinerSection.default()
    for name, row in refiner_rows().items():
        if row.kind == section.kind and all(getattr(section, key) == value for key, value in row.values.items()):
            return Method(coarse_name(project), name)
    return Method(coarse_name(project), section.kind)


def default_methods(project: Project) -> list[Method]:
    """Return the methods of a full comparison: the baselines, the project's network alone and with every refiner."""
    own = coarse_name(project)
    baselines = [name for name, one in architectures("coarse", trainable=True).items() if one.baseline]
    alone = [Method(name) for name in dict.fromkeys((*baselines, own))]
    # Labels are corrected by the scores of a coarse network of the project's own.
    refiners = [name for name, row in refiner_rows().items() if own != GIVEN or not row.corrects_labels]
    return [*alone, *(Method(own, refiner) for refiner in refiners)]


def parse_methods(names: Iterable[str], project: Project) -> list[Method]:
    """Return methods by name, each once, in the order given.

    A name is a coarse network, a refiner on the project's own scores, or both joined by a plus.
    """
    methods = list(dict.fromkeys(_parsed(name.strip(), project) for name in names if name.strip()))
    if not methods:
        raise InputError("No method is named.", expected=_known(project), remedy="Name some, separated by commas.")
    return methods


def _parsed(name: str, project: Project) -> Method:
    refiners, networks = refiner_rows(), coarse_names()
    if name in refiners:
        return Method(coarse_name(project), name)
    coarse, plus, refiner = name.partition("+")
    if coarse in (*networks, GIVEN) and (refiner in refiners if plus else True):
        return Method(coarse, refiner or None)
    raise InputError(
        f"There is no method {name!r}.", expected=_known(project),
        remedy=did_you_mean(name, (*networks, *refiners, *(one.name for one in default_methods(project)))),
    )  # fmt: skip


def _known(project: Project) -> str:
    networks = (GIVEN,) if project.scores_given else coarse_names()
    refiners = ", ".join(refiner_rows())
    return (
        f"a coarse network ({', '.join(networks)}), a refiner ({refiners}), or both, such as {coarse_name(project)}+crf"
    )


def missing_for(method: Method, project: Project) -> str:
    """Return what the method needs and the project lacks, as a sentence; empty where it lacks nothing."""
    return _missing_for_coarse(method, project) or _missing_for_refiner(method, project)


def _missing_for_refiner(method: Method, project: Project) -> str:
    if method.refiner is None:
        return ""
    row = refiner_rows()[method.refiner]
    if row.corrects_labels and method.coarse == GIVEN:
        lacks = "a coarse network that crispmap trains"
        return f"The project gives coarse scores of another tool; {method.refiner} needs {lacks}."
    architecture, section = architectures("refiner")[row.kind], project.refiner
    if architecture.learner == "gradient" and section is not None and section.preset not in architecture.presets:
        return f"The project's refiner has preset: {section.preset}; {row.kind} has {', '.join(architecture.presets)}."
    return ""


def _missing_for_coarse(method: Method, project: Project) -> str:
    if method.coarse == GIVEN:
        return "" if project.scores_given else "The project gives no coarse scores of another tool."
    if not project.has_labels or not project.has_area("coarse"):
        lacks = "area to train on (areas: coarse)" if project.has_labels else "labels"
        given = "gives coarse scores of another tool and " if project.scores_given else ""
        return f"The project {given}names no {lacks}, so {method.coarse} cannot be trained."
    return ""


def project_of(method: Method, project: Project) -> Project:
    """Return the project as if it named this method; its other settings are kept where they apply."""
    refiner = project.refiner
    lacking = refiner is None and method.refiner is not None
    if lacking and project.has_reference and project.has_area("refiner"):  # as of a classifier of squares
        refiner = RefinerSection.default()
    if refiner is not None and method.refiner is not None:
        refiner = _refiner_section(refiner_rows()[method.refiner], refiner)
    return replace(project, coarse=_coarse_section(method.coarse, project.coarse), refiner=refiner)


def _refiner_section(row: RefinerRow, section: RefinerSection) -> RefinerSection:
    if row.kind == section.kind:
        return section.model_copy(update=dict(row.values))
    presets = architectures("refiner")[row.kind].presets
    kept = {} if section.preset in presets else {"preset": next(iter(presets))}
    return section.as_kind(row.kind, **kept, **row.values)


def _coarse_section(name: str, section: CoarseSection) -> CoarseSection:
    if name in (GIVEN, section.kind) and (name == GIVEN) == (section.scores is not None):
        return section
    changes: dict[str, Any] = {"scores": None}
    step = architectures("coarse")[name].patch_multiple
    patch_px = getattr(section, "patch_px", None)
    if patch_px is not None and step > 1:
        changes["patch_px"] = -(-patch_px // step) * step
    return section.as_kind(name, **changes)


def settings_of(method: Method, project: Project) -> dict[str, Any]:
    """Return a project's settings of a method, as plain values: all its figures depend on besides the data."""
    mine = project_of(method, project)
    settings: dict[str, Any] = {"coarse": mine.coarse.chosen()}
    if method.refiner is not None and mine.refiner is not None:
        settings["refiner"] = mine.refiner.chosen()
    return settings
