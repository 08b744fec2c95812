"""The methods a comparison knows: coarse networks alone, and with a refiner on their scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from crispmap.errors import InputError
from crispmap.models.patch_network.network import LABELLED_PX
from crispmap.project.file import COARSE_NETWORKS, CoarseSection, Project
from crispmap.project.file.findings import did_you_mean
from crispmap.project.file.sections import SVM_CLASSIFIERS
from crispmap.refine.pde.refiner import PDES

GIVEN = "given"
"""The coarse "network" of a project whose scores another tool gave."""
BASELINES = ("svm", "mnih")
"""Coarse networks that the project's own is compared with by default."""

LEARNED: dict[str, dict[str, Any]] = {
    "rnn-agnostic": {"network": "rnn", "variant": "class-agnostic", "aligned_labels": False},
    "rnn-untied": {"network": "rnn", "variant": "untied", "aligned_labels": False},
    "rnn": {"network": "rnn", "variant": "class-specific", "aligned_labels": False},
    "rnn-aligned": {"network": "rnn", "variant": "class-specific", "aligned_labels": True},
    "wide": {"network": "wide", "variant": "class-specific", "aligned_labels": False},
    "wide-aligned": {"network": "wide", "variant": "class-specific", "aligned_labels": True},
}
"""Refiners that are trained, by name: what each sets of a project's refiner section. A new one is a row here."""
FITTED = ("crf", *PDES)
"""Refiners written by hand, whose few numbers are fitted."""
REFINERS = (*FITTED, *LEARNED)
"""The refiners, in the order of the table."""


@dataclass(frozen=True)
class Method:
    """A coarse network, alone or with a refiner.

    Attributes:
        coarse: One of ``COARSE_NETWORKS``, or ``GIVEN``.
        refiner: One of ``REFINERS``, or None.
    """

    coarse: str
    refiner: str | None = None

    @property
    def name(self) -> str:
        """What it is called in tables, options and folders, such as "fcn-rnn+crf"."""
        return self.coarse if self.refiner is None else f"{self.coarse}+{self.refiner}"

    @property
    def alone(self) -> Method:
        """Its coarse network without a refiner."""
        return Method(self.coarse)


def coarse_name(project: Project) -> str:
    """Return what a project's own coarse scores are called: its network, or ``GIVEN``."""
    return GIVEN if project.coarse.scores is not None else project.coarse.network


def own_method(project: Project) -> Method:
    """Return the method a project trains and predicts with: that which the others are compared with."""
    sets = {} if project.refiner is None else project.refiner.model_dump()
    name = next((name for name, values in LEARNED.items() if values.items() <= sets.items()), "rnn")
    return Method(coarse_name(project), name)


def default_methods(project: Project) -> list[Method]:
    """Return the methods of a full comparison: the baselines, the project's network alone and with every refiner."""
    own = coarse_name(project)
    alone = [Method(name) for name in dict.fromkeys((*BASELINES, own))]
    # Labels are aligned on the ground of a coarse network of the project's own.
    refiners = [name for name in REFINERS if own != GIVEN or not _aligns_labels(name)]
    return [*alone, *(Method(own, refiner) for refiner in refiners)]


def _aligns_labels(refiner: str | None) -> bool:
    return refiner in LEARNED and bool(LEARNED[refiner]["aligned_labels"])


def parse_methods(names: Iterable[str], project: Project) -> list[Method]:
    """Return methods by name, each once, in the order given.

    A name is that of a coarse network, of both with a plus between, or of a refiner alone, on the project's own scores.

    Raises:
        InputError: If there is no name, or no such method.
    """
    methods = list(dict.fromkeys(_parsed(name.strip(), project) for name in names if name.strip()))
    if not methods:
        raise InputError("No method is named.", expected=_known(project), remedy="Name some, with commas between.")
    return methods


def _parsed(name: str, project: Project) -> Method:
    if name in REFINERS:
        return Method(coarse_name(project), name)
    coarse, plus, refiner = name.partition("+")
    if coarse in (*COARSE_NETWORKS, GIVEN) and (refiner in REFINERS if plus else True):
        return Method(coarse, refiner or None)
    raise InputError(
        f"There is no method {name!r}.",
        expected=_known(project),
        remedy=did_you_mean(name, (*COARSE_NETWORKS, *REFINERS, *(one.name for one in default_methods(project)))),
    )


def _known(project: Project) -> str:
    networks = (GIVEN,) if project.coarse.scores is not None else COARSE_NETWORKS
    return (
        f"a coarse network ({', '.join(networks)}), a refiner ({', '.join(REFINERS)}), or both, such as "
        f"{coarse_name(project)}+crf"
    )


def missing_for(method: Method, project: Project) -> str:
    """Return what the project lacks that the method needs, as a sentence; empty where it lacks nothing."""
    return _missing_for_refiner(method, project) or _missing_for_coarse(method, project)


def _missing_for_refiner(method: Method, project: Project) -> str:
    name = method.refiner
    if _aligns_labels(name) and method.coarse == GIVEN:
        return f"The project gives coarse scores of another tool; {name} needs a coarse network that crispmap trains."
    papers = project.refiner is not None and project.refiner.preset == "paper"
    if papers and name in LEARNED and LEARNED[name]["network"] != "rnn":
        return f"The project's refiner has preset: paper, which is of rnn; no paper tells how {name} is trained."
    return ""


def _missing_for_coarse(method: Method, project: Project) -> str:
    if method.coarse == GIVEN:
        return "" if project.coarse.scores is not None else "The project gives no coarse scores of another tool."
    if project.labels is None or not project.areas.get("coarse"):
        lacks = "labels" if project.labels is None else "area to train on (areas: coarse)"
        given = "gives coarse scores of another tool and " if project.coarse.scores is not None else ""
        return f"The project {given}names no {lacks}, so {method.coarse} cannot be trained."
    return ""


def project_of(method: Method, project: Project) -> Project:
    """Return the project as it would stand if it named this method: its other settings are kept where they apply."""
    refiner = project.refiner
    if refiner is not None and method.refiner in LEARNED:
        refiner = refiner.model_copy(update=LEARNED[method.refiner])
    return replace(project, coarse=_coarse_section(method.coarse, project.coarse), refiner=refiner)


def _coarse_section(name: str, section: CoarseSection) -> CoarseSection:
    if name in (GIVEN, section.network) and (name == GIVEN) == (section.scores is not None):
        return section
    if name in SVM_CLASSIFIERS:
        return CoarseSection(network=name, gsd_m=section.gsd_m, preset=section.preset)
    changes: dict[str, Any] = {"network": name, "scores": None}
    if name == "mnih" and section.patch_px is not None:
        changes["patch_px"] = -(-section.patch_px // LABELLED_PX) * LABELLED_PX
    return section.model_copy(update=changes)


def settings_of(method: Method, project: Project) -> dict[str, Any]:
    """Return what a project sets of a method, as plain values: all its figures depend on besides the ground."""
    mine = project_of(method, project)
    settings: dict[str, Any] = {"coarse": mine.coarse.model_dump(mode="json", exclude_defaults=True)}
    if method.refiner in LEARNED and mine.refiner is not None:
        settings["refiner"] = mine.refiner.model_dump(mode="json", exclude_defaults=True)
    return settings
