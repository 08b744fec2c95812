"""The methods of comparisons: coarse networks, alone or fine-tuned, and refiners on their scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crispmap.errors import InputError, did_you_mean
from crispmap.models.architecture import Architecture
from crispmap.models.registry import architectures, default_architecture
from crispmap.project.file import CoarseSection, FinetuneSection, Project, RefinerSection

GIVEN = "given"
"""The coarse "network" of a project whose scores another tool gave."""
FINETUNE = "finetune"
"""What stands in the name of a method whose network goes on with the precise piece."""


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
    """A coarse network, fine-tuned or not, alone or with a refiner."""

    coarse: str  # one of coarse_names, or GIVEN
    refiner: str | None = None  # one of refiner_rows, or None
    finetuned: bool = False  # whether the network goes on with the precise piece

    @property
    def name(self) -> str:
        """Its name in tables, options and folders, such as "fcn-rnn+crf" or "unet-lite0+finetune+rnn"."""
        parts = (self.coarse, FINETUNE if self.finetuned else None, self.refiner)
        return "+".join(part for part in parts if part is not None)

    @property
    def alone(self) -> Method:
        """Its coarse network, neither fine-tuned nor with a refiner."""
        return Method(self.coarse)

    @property
    def before(self) -> Method:
        """The method whose scores it goes on from: without its refiner, or without its fine-tuning."""
        return replace(self, refiner=None) if self.refiner is not None else self.alone

    @property
    def needs(self) -> list[Method]:
        """The methods whose models it goes on from, first to last; itself not."""
        return [] if self.before == self else [*self.before.needs, self.before]


def coarse_name(project: Project) -> str:
    """Return the name of a project's own coarse scores: its network, or ``GIVEN``."""
    return GIVEN if project.scores_given else project.coarse.kind


def own_method(project: Project) -> Method:
    """Return the method a project trains and predicts with, which the others are compared with."""
    finetuned, section = project.finetune is not None, project.refiner
    if section is None:
        return Method(coarse_name(project), None, finetuned)
    for name, row in refiner_rows().items():
        if row.kind == section.kind and all(getattr(section, key) == value for key, value in row.values.items()):
            return Method(coarse_name(project), name, finetuned)
    return Method(coarse_name(project), section.kind, finetuned)


def default_methods(project: Project) -> list[Method]:
    """Return the methods of a full comparison.

    The baselines, the project's network alone, with every refiner, fine-tuned, and with the default refiner on that.
    """
    own = coarse_name(project)
    baselines = [name for name, one in architectures("coarse", trainable=True).items() if one.baseline]
    alone = [Method(name) for name in dict.fromkeys((*baselines, own))]
    # Labels are corrected by the scores of a coarse network of the project's own.
    refiners = [name for name, row in refiner_rows().items() if own != GIVEN or not row.corrects_labels]
    methods = [*alone, *(Method(own, refiner) for refiner in refiners)]
    if own != GIVEN and project.coarse.architecture.learner == "gradient":
        methods += [Method(own, None, True), Method(own, default_architecture("refiner").name, True)]
    return list(dict.fromkeys([*methods, own_method(project)]))


def parse_methods(names: Iterable[str], project: Project) -> list[Method]:
    """Return methods by name, each once, in the order given.

    A name is a coarse network, or a refiner on the project's own scores, or several parts joined by a plus: network,
    "finetune", refiner.
    """
    methods = list(dict.fromkeys(_parsed(name.strip(), project) for name in names if name.strip()))
    if not methods:
        raise InputError("No method is named.", expected=_known(project), remedy="Name some, separated by commas.")
    return methods


def _parsed(name: str, project: Project) -> Method:
    refiners, networks = refiner_rows(), coarse_names()
    parts = name.split("+")
    coarse = parts.pop(0) if parts[0] in (*networks, GIVEN) else coarse_name(project)
    finetuned = parts[:1] == [FINETUNE]
    rest = parts[1:] if finetuned else parts
    if not rest or (len(rest) == 1 and rest[0] in refiners):
        return Method(coarse, rest[0] if rest else None, finetuned)
    raise InputError(
        f"There is no method {name!r}.", expected=_known(project),
        remedy=did_you_mean(name, (*networks, *refiners, *(one.name for one in default_methods(project)))),
    )  # fmt: skip


def _known(project: Project) -> str:
    networks = (GIVEN,) if project.scores_given else coarse_names()
    refiners = ", ".join(refiner_rows())
    own = coarse_name(project)
    return (
        f"a coarse network ({', '.join(networks)}), a refiner ({refiners}), or both, such as {own}+crf, and "
        f"{FINETUNE} between them, such as {own}+{FINETUNE} or {own}+{FINETUNE}+rnn"
    )


def missing_for(method: Method, project: Project) -> str:
    """Return what the method needs and the project lacks, as a sentence; empty where it lacks nothing."""
    return (
        _missing_for_coarse(method, project) or _missing_for_finetuning(method) or _missing_for_refiner(method, project)
    )


def _missing_for_finetuning(method: Method) -> str:
    if not method.finetuned:
        return ""
    if method.coarse == GIVEN:
        return "The project gives coarse scores of another tool; there is no network to fine-tune."
    learner = architectures("coarse")[method.coarse].learner
    return "" if learner == "gradient" else f"{method.coarse} is fitted, not trained in steps: it cannot be fine-tuned."


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
    if method.refiner is not None:
        refiner = _refiner_section(refiner_rows()[method.refiner], refiner or RefinerSection.default())
    finetune = (project.finetune or FinetuneSection()) if method.finetuned else None
    coarse = _coarse_section(method.coarse, project.coarse)
    return replace(project, coarse=coarse, finetune=finetune, refiner=refiner)


def _refiner_section(row: RefinerRow, section: RefinerSection) -> RefinerSection:
    if row.kind == section.kind:
        return section.model_copy(update=dict(row.values))
    presets = architectures("refiner")[row.kind].presets
    kept = {} if section.preset in presets else {"preset": next(iter(presets))}
    return section.as_kind(row.kind, **kept, **row.values)


def _coarse_section(name: str, section: CoarseSection) -> CoarseSection:
    if name in (GIVEN, section.kind) and (name == GIVEN) == (section.scores is not None):
        return section
    changes: dict[str, Any] = {"scores": None, "start": None}
    step = architectures("coarse")[name].patch_multiple
    patch_px = getattr(section, "patch_px", None)
    if patch_px is not None and step > 1:
        changes["patch_px"] = -(-patch_px // step) * step
    other = section.as_kind(name, **changes)
    # Weights are of one encoder: another network starts from its own.
    own = other.architecture.options.model_fields.get("weights")
    return other if own is None else other.model_copy(update={"weights": own.default})


def settings_of(method: Method, project: Project) -> dict[str, Any]:
    """Return a project's settings of a method, as plain values: all its figures depend on besides the data."""
    mine = project_of(method, project)
    settings: dict[str, Any] = {"coarse": mine.coarse.chosen()}
    if method.refiner is not None and mine.refiner is not None:
        settings["refiner"] = mine.refiner.chosen()
    if mine.finetune is not None:
        settings["finetune"] = mine.finetune.model_dump(mode="json", exclude_defaults=True)
    return settings
