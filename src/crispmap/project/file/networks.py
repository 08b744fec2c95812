"""The sections of a project file that name a network or refiner: what they take depends on which one.

For every architecture of the registry there is a class with the keys of its section: those that all share, those of a
training in steps where it has one, and its own options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, create_model

from crispmap.errors import InputError, TrainingError, did_you_mean
from crispmap.geo.squares import Squares
from crispmap.models.architecture import Architecture, Kind
from crispmap.models.registry import architectures, default_architecture
from crispmap.models.settings import (
    AUGMENTATIONS,
    LOSS_NAMES,
    Precision,
    Sampling,
    TrainingSettings,
    Weighting,
    augmentation_names,
    loss_terms,
)
from crispmap.project.file.findings import bad_value, findings_of, shown
from crispmap.project.file.sections import GSD, SCORES, Count, InputPath, Positive, ScoreSource, Section, key


def _checked_by(check: Callable[[str], object]) -> AfterValidator:
    def checked(text: str) -> str:
        try:
            check(text)
        except TrainingError as error:
            raise bad_value(f"is {text!r}", error.expected, error.remedy) from error
        return text

    return AfterValidator(checked)


def _joined(value: object) -> object:
    """Return a list of names as one text."""
    names = isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value)
    return "+".join(cast(Sequence[str], value)) if names else value


class TrainingKeys(Section):
    """The settings of a training in steps; by default those of the preset."""

    max_steps: Count | None = key("training steps: a whole number above 0")
    batch: Count | None = key("patches a step: a whole number above 0")
    learning_rate: Positive | None = key("learning rate: a number above 0")
    patch_px: Count | None = key("side of a patch, in pixels: a whole number above 0")
    sampling: Sampling | None = key("how patches are drawn: uniform or balanced")
    class_weights: Weighting | None = key("weight of a class in the loss: none, inverse or inverse-sqrt")
    loss: Annotated[str, _checked_by(loss_terms)] | None = key(
        f"what is minimised: {', '.join(LOSS_NAMES)}, joined by +, such as cross-entropy+0.5*dice"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = key(
        "share of the cross-entropy's target that all classes get alike: a number of 0 or more, below 1"
    )
    augmentation: Annotated[str, BeforeValidator(_joined), _checked_by(augmentation_names)] | None = key(
        f"how patches are varied: none, or a list of {', '.join(AUGMENTATIONS)}"
    )


class PrecisionKeys(Section):
    """The precision of a training in steps of a coarse network; refiners are trained in float32."""

    precision: Precision | None = key(
        "precision of the training: float32, bfloat16, or auto: bfloat16 where it is faster and a trial comes out alike"
    )


class EncoderKeys(Section):
    """The settings of a training in steps of a network with an encoder."""

    encoder_rate: Positive | None = key("learning rate of the encoder as a share of the rest's: a number above 0")
    frozen_steps: Annotated[int, Field(ge=0)] | None = key(
        "steps at the beginning in which the encoder does not learn: a whole number of 0 or more"
    )


class NetworkSection(Section):
    """What the sections of all architectures of a kind share."""

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
        """Return the section of an architecture with some keys set."""
        given = {"kind": kind, **values}
        return cls.for_value(given).model_validate(given)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the section with some keys set, as from Python."""
        section = cls.for_value(values)
        try:
            return section.model_validate(dict(values))
        except ValidationError as error:
            first = findings_of(error, section, dict(values))[0]
            given = f"Settings of the {cls.role} model: {first.given}."
            raise InputError(given, expected=first.expected, remedy=first.remedy) from error

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

    @property
    def squares(self) -> Squares | None:
        """The squares that a classifier of squares gives one class each; None for others."""
        options = self.options
        return Squares(options["square_px"], options["label"]) if "square_px" in options else None

    def settings(self, seed: int) -> TrainingSettings:
        """Return how it is trained: its preset, with what the file sets otherwise; a patch of squares is one square."""
        preset = self.architecture.presets[self.preset].settings
        if preset is None:
            raise TrainingError(f"{self.kind} is not trained in steps.", expected="a network that is")
        return _changed(preset, self, seed)

    def as_kind(self, kind: str, **values: Any) -> Self:
        """Return the section of another architecture, with the values of this one for the keys that both have."""
        cls = _section_of(_base_of(type(self)), architectures(self.role)[kind])
        kept = {name: getattr(self, name) for name in self.model_fields_set if name in cls.model_fields}
        return cast(Self, cls.model_validate({**kept, "kind": kind, **values}))

    def chosen(self) -> dict[str, Any]:
        """Return the kind, and what is set otherwise than by default, as plain values."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}


def _changed(preset: TrainingSettings, section: Section, seed: int) -> TrainingSettings:
    """Return settings with what a section sets otherwise."""
    fields = (one.model_fields for one in (TrainingKeys, PrecisionKeys, EncoderKeys))
    keys = {name: getattr(section, name, None) for name in chain.from_iterable(fields)}
    changes = {name: value for name, value in keys.items() if value is not None}
    squares = section.squares if isinstance(section, NetworkSection) else None
    if squares is not None:
        changes.setdefault("patch_px", squares.side_px)
    if "max_steps" in changes:
        changes["validate_every"] = min(preset.validate_every, max(1, changes["max_steps"] // 5))
    return preset.but(seed=seed, **changes)


class CoarseSection(NetworkSection):
    """The coarse network, or the scores another tool gave in its place."""

    role: ClassVar[Kind] = "coarse"
    gsd_m: Positive | None = key(f"pixel size the network works at, that of the map by default, {GSD}")
    start: InputPath | None = key("trained network of the same kind that learns on: the path of a model file")
    scores: ScoreSource | None = key(SCORES)


class FinetuneSection(TrainingKeys, PrecisionKeys, EncoderKeys):
    """How the coarse network goes on with precise labels, where otherwise than its preset says."""

    def settings(self, coarse: CoarseSection, seed: int) -> TrainingSettings:
        """Return the settings; without such a preset, half of the network's steps at a fifth of its learning rate.

        Raises:
            TrainingError: If the network is not trained in steps.
        """
        preset = coarse.architecture.presets[coarse.preset].finetuning
        if preset is None:
            first = coarse.settings(seed)
            steps, rate = max(1, first.max_steps // 2), first.learning_rate / 5
            preset = first.but(max_steps=steps, learning_rate=rate, validate_every=min(first.validate_every, steps))
        return _changed(preset, self, seed)


class RefinerSection(NetworkSection):
    """The refiner."""

    role: ClassVar[Kind] = "refiner"
    corrected_labels: bool = key(
        "whether it also learns from the coarse area, with corrected labels: true or false", False
    )


def _base_of(cls: type[NetworkSection]) -> type[NetworkSection]:
    return CoarseSection if issubclass(cls, CoarseSection) else RefinerSection


def _kinds(role: Kind) -> str:
    what = "network" if role == "coarse" else "refiner"
    return f"name of the {what}: one of {', '.join(architectures(role, trainable=True))}"


_classes: dict[tuple[type[NetworkSection], str], tuple[Architecture, type[NetworkSection]]] = {}
"""The class of every architecture's section, with the architecture it was made of: a name may be registered again."""


def _section_of(base: type[NetworkSection], architecture: Architecture) -> Any:
    key = base, architecture.name
    if key not in _classes or _classes[key][0] is not architecture:
        presets = tuple(architecture.presets) or ("fast",)
        keys_of = (TrainingKeys, PrecisionKeys) if base is CoarseSection else (TrainingKeys,)
        trained = keys_of if architecture.learner == "gradient" else ()
        encoder = (EncoderKeys,) if architecture.encoder else ()
        bases = cast(tuple[type[NetworkSection], ...], (base, *trained, *encoder, architecture.options))
        keys: dict[str, Any] = {
            "kind": (Literal[architecture.name], Field(architecture.name, description=_kinds(base.role))),
            "preset": (
                Literal[presets],
                Field(presets[0], description=f"preset of the training: {' or '.join(presets)}"),
            ),
        }
        _classes[key] = architecture, create_model(base.__name__, __base__=bases, **keys)
    return _classes[key][1]


@cache
def _unknown_kind(base: type[NetworkSection]) -> Any:
    """Return the class of a section that names no architecture: it refuses the kind and ignores the rest."""

    def checked(name: object) -> object:
        known = architectures(base.role, trainable=True)
        remedy = did_you_mean(name, known) if isinstance(name, str) else ""
        raise bad_value(f"is {name!r}", f"one of {', '.join(known)}", remedy)

    return create_model(
        base.__name__, __base__=type(base.__name__, (base,), {"model_config": ConfigDict(extra="ignore")}),
        kind=(Annotated[Any, AfterValidator(checked)], Field(description=_kinds(base.role))), preset=(Any, "fast"),
    )  # fmt: skip


def _validator(base: type[NetworkSection]) -> BeforeValidator:
    def validated(value: object, info: ValidationInfo) -> object:
        return base.for_value(value).model_validate(value, context=info.context) if isinstance(value, dict) else value

    return BeforeValidator(validated)


CoarseField = Annotated[CoarseSection, _validator(CoarseSection)]
RefinerField = Annotated[RefinerSection, _validator(RefinerSection)]


def _finetune_validated(value: object, info: ValidationInfo) -> object:
    if isinstance(value, FinetuneSection) or value is False:
        return value
    if value is True or isinstance(value, dict):
        return FinetuneSection.model_validate({} if value is True else value, context=info.context)
    raise bad_value(f"is {shown(value)}", "true, false, or a mapping of settings", "")


FinetuneField = Annotated[FinetuneSection | Literal[False], BeforeValidator(_finetune_validated)]
