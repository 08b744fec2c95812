"""The sections of a project file that name a network or refiner: what they take depends on which one.

For every architecture of the registry there is a class with the keys of its section: those that all share, those of a
training in steps where it has one, and its own options.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, create_model

from crispmap.errors import InputError, TrainingError
from crispmap.models.architecture import Architecture, Kind
from crispmap.models.registry import architectures, default_architecture
from crispmap.models.settings import Augmentation, Sampling, TrainingSettings, Weighting
from crispmap.project.file.findings import bad_value, did_you_mean, findings_of
from crispmap.project.file.sections import ABOVE_0, Count, Positive, ScoreSource, Section

_COUNT = "a whole number above 0"


class TrainingKeys(Section):
    """What may be set of a training in steps; everything absent comes from the preset."""

    max_steps: Count | None = Field(None, description=f"{_COUNT}: training steps")
    batch: Count | None = Field(None, description=f"{_COUNT}: patches a step")
    learning_rate: Positive | None = Field(None, description=ABOVE_0)
    patch_px: Count | None = Field(None, description=f"{_COUNT}, in pixels: the side of a patch")
    sampling: Sampling | None = Field(None, description="uniform or balanced")
    class_weights: Weighting | None = Field(None, description="none, inverse or inverse-sqrt")
    augmentation: Augmentation | None = Field(None, description="none or flips-and-rotations")


class NetworkSection(Section):
    """What the sections of all architectures of a kind share.

    Attributes:
        role: What it names.
        kind: The architecture's name.
        preset: One of the architecture's presets.
    """

    role: ClassVar[Kind]
    kind: str
    preset: str

    @classmethod
    def for_value(cls, value: object) -> type[Self]:
        """Return the class of the section that a file gives: that of its ``kind``, or of the default one."""
        default = default_architecture(cls.role).name
        kind = value.get("kind", default) if isinstance(value, Mapping) else default
        architecture = architectures(cls.role, trainable=True).get(kind) if isinstance(kind, str) else None
        section = _unknown_kind(cls) if architecture is None else _section_of(cls, architecture)
        return cast(type[Self], section)

    @classmethod
    def of(cls, kind: str, **values: Any) -> Self:
        """Return the section of an architecture with some keys set.

        Raises:
            ValidationError: If a value is not one the key takes.
        """
        given = {"kind": kind, **values}
        return cls.for_value(given).model_validate(given)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the section with some keys set, as from Python.

        Raises:
            InputError: If a key is not known, or a value is not one it takes.
        """
        section = cls.for_value(values)
        try:
            return section.model_validate(dict(values))
        except ValidationError as error:
            first = findings_of(error, section, dict(values))[0]
            raise InputError(
                f"Settings of the {cls.role} model: {first.given}.", expected=first.expected, remedy=first.remedy
            ) from error

    @classmethod
    def default(cls) -> Self:
        """Return the section of a file that gives none."""
        return cls.of(default_architecture(cls.role).name)

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        """Return which architectures take a key that this one does not, as a remedy; empty where none does."""
        others = [
            name
            for name, one in architectures(cls.role, trainable=True).items()
            if key in _section_of(_base_of(cls), one).model_fields
        ]
        return f"Remove it: it is a key of {', '.join(others)}." if others else ""

    @property
    def architecture(self) -> Architecture:
        """What ``kind`` names."""
        return architectures(self.role)[self.kind]

    @property
    def options(self) -> dict[str, Any]:
        """What is chosen of the architecture: arguments of its builder."""
        return {name: getattr(self, name) for name in self.architecture.options.model_fields}

    def settings(self, seed: int) -> TrainingSettings:
        """Return how it is trained: its preset, with what the file sets otherwise.

        Raises:
            TrainingError: If it is not trained in steps.
        """
        preset = self.architecture.presets[self.preset].settings
        if preset is None:
            raise TrainingError(f"{self.kind} is not trained in steps.", expected="a network that is")
        keys = {name: getattr(self, name, None) for name in TrainingKeys.model_fields}
        changes = {name: value for name, value in keys.items() if value is not None}
        if "max_steps" in changes:
            changes["validate_every"] = min(preset.validate_every, max(1, changes["max_steps"] // 5))
        return preset.but(seed=seed, **changes)

    def as_kind(self, kind: str, **values: Any) -> Self:
        """Return the section of another architecture, with the values of this one for the keys that both have."""
        cls = _section_of(_base_of(type(self)), architectures(self.role)[kind])
        kept = {name: getattr(self, name) for name in self.model_fields_set if name in cls.model_fields}
        return cast(Self, cls.model_validate({**kept, "kind": kind, **values}))

    def chosen(self) -> dict[str, Any]:
        """Return the kind, and what is set otherwise than by default, as plain values."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}


class CoarseSection(NetworkSection):
    """The coarse network, or the scores another tool gave in its place.

    Attributes:
        gsd_m: The ground sampling distance the network works at; None means the working one.
        scores: Scores of another tool: then no coarse network is trained.
    """

    role: ClassVar[Kind] = "coarse"
    gsd_m: Positive | None = Field(None, description=f"{ABOVE_0}: metres on the ground a pixel")
    scores: ScoreSource | None = Field(None, description="a mapping such as {path: coarse.tif, kind: auto}")


class RefinerSection(NetworkSection):
    """The refiner.

    Attributes:
        corrected_labels: Whether it learns from the coarse area too, its labels moved to where an initial refiner sees
            their objects.
    """

    role: ClassVar[Kind] = "refiner"
    corrected_labels: bool = Field(
        False, description="true or false: whether it learns from the coarse area too, its labels corrected"
    )


def _base_of(cls: type[NetworkSection]) -> type[NetworkSection]:
    return CoarseSection if issubclass(cls, CoarseSection) else RefinerSection


def _kinds(role: Kind) -> str:
    return f"one of {', '.join(architectures(role, trainable=True))}"


_classes: dict[tuple[type[NetworkSection], str], tuple[Architecture, type[NetworkSection]]] = {}
"""The class of every architecture's section, and the architecture it was made of: a name may be registered anew."""


def _section_of(base: type[NetworkSection], architecture: Architecture) -> Any:
    """Return the class of an architecture's section."""
    key = base, architecture.name
    if key not in _classes or _classes[key][0] is not architecture:
        presets = tuple(architecture.presets) or ("fast",)
        trained = (TrainingKeys,) if architecture.learner == "gradient" else ()
        bases = cast(tuple[type[NetworkSection], ...], (base, *trained, architecture.options))
        keys: dict[str, Any] = {
            "kind": (Literal[architecture.name], Field(architecture.name, description=_kinds(base.role))),
            "preset": (Literal[presets], Field(presets[0], description=" or ".join(presets))),
        }
        _classes[key] = architecture, create_model(base.__name__, __base__=bases, **keys)
    return _classes[key][1]


@cache
def _unknown_kind(base: type[NetworkSection]) -> Any:
    """Return the class of a section that names no architecture: it refuses the kind, and says nothing of the rest."""

    def checked(name: object) -> object:
        known = architectures(base.role, trainable=True)
        remedy = did_you_mean(name, known) if isinstance(name, str) else ""
        raise bad_value(f"is {name!r}", f"one of {', '.join(known)}", remedy)

    return create_model(
        base.__name__,
        __base__=type(base.__name__, (base,), {"model_config": ConfigDict(extra="ignore")}),
        kind=(Annotated[Any, AfterValidator(checked)], Field(description=_kinds(base.role))),
        preset=(Any, "fast"),
    )


def _as_coarse(value: object, info: ValidationInfo) -> object:
    return _validated(CoarseSection, value, info)


def _as_refiner(value: object, info: ValidationInfo) -> object:
    return _validated(RefinerSection, value, info)


def _validated(base: type[NetworkSection], value: object, info: ValidationInfo) -> object:
    return base.for_value(value).model_validate(value, context=info.context) if isinstance(value, dict) else value


CoarseField = Annotated[CoarseSection, BeforeValidator(_as_coarse)]
RefinerField = Annotated[RefinerSection, BeforeValidator(_as_refiner)]
