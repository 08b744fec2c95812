"""The model card: everything besides the weights that is needed to use and to trust a model.

It is read from a model file's header, without torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter
from safetensors import SafetensorError, safe_open

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, ModelError, number_of
from crispmap.models.architecture import Kind
from crispmap.models.migration import migrated_card
from crispmap.models.scaling import Scaling

FORMAT = 2  # version of the model file; older ones are migrated, newer ones are an error
_DAMAGED = "the file is damaged; train or fetch the model again"

CARD_KEY = "crispmap"  # the entry of a model file's metadata that holds its card


@dataclass(frozen=True)
class ModelCard:
    """The kind, the expected input and the origin of a model."""

    kind: Kind  # "coarse" (image -> scores) or "refiner" (image + scores -> scores)
    architecture: str  # name in the model registry
    arguments: dict[str, Any]  # keyword arguments that build the architecture
    schema: ClassSchema  # the classes of its scores, in order
    band_names: tuple[str, ...]  # names of the bands it expects, in order
    scaling: Scaling  # constants of each band
    gsd_m: float  # ground sampling distance it works at, in metres
    radius_px: int | None  # influence radius in its own pixels, or None where unbounded
    stride_px: int  # window origins are multiples of it
    # free facts of the training: data, settings, seed, figures, versions. JSON values
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bands = len(self.band_names)
        if self.scaling.band_count != bands:
            raise ModelError(
                f"A model card has {number_of(bands, 'band name')} and scaling constants of "
                f"{number_of(self.scaling.band_count, 'band')}.",
                expected="one of each for every band",
            )
        if not 0 < self.gsd_m < math.inf:
            raise ModelError(
                f"A model card has a ground sampling distance of {self.gsd_m} m.", expected="a finite number above 0"
            )
        if self.stride_px < 1 or (self.radius_px is not None and self.radius_px < 0):
            raise ModelError(
                f"A model card has a stride of {self.stride_px} and a radius of {self.radius_px} pixels.",
                expected="a stride of 1 or more, a radius of 0 or more or none",
            )

    @property
    def class_biases(self) -> tuple[float, ...]:
        """What recalibrates the coarse scores that a refiner was trained on, a number added to those of each class.

        Raises:
            ModelError: If the card has none.
        """
        try:
            biases = tuple(float(one) for one in self.provenance["class_biases"])
        except (KeyError, TypeError, ValueError):
            biases = ()
        if len(biases) != len(self.schema) or not all(map(math.isfinite, biases)):
            raise ModelError(
                f"The card of the {self.kind} model, {self.architecture}, has no bias for every class.",
                expected="a refiner with the class biases of the scores it was trained on",
                remedy="give the refiner, or train it again with this version",
            )
        return biases

    def to_json(self) -> str:
        """Return the card as JSON text, read back by ``from_json``."""
        facts = {"format": FORMAT, "classes": json.loads(self.schema.to_json())}
        facts |= {"scaling_offset": self.scaling.offset, "scaling_scale": self.scaling.scale}
        facts |= {name: value for name, value in vars(self).items() if name not in ("schema", "scaling")}
        return json.dumps(facts, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card written by ``to_json``.

        Raises:
            ModelError: If the text is not a card, or has a newer format.
        """
        try:
            facts = _OBJECT.validate_json(text)
        except ValueError as error:
            raise ModelError(
                f"The model card cannot be read: {error}.", expected="a card written by crispmap"
            ) from error
        version = facts.get("format")
        if type(version) is not int or not 1 <= version <= FORMAT:
            raise ModelError(
                f"The model file has format {version!r}.",
                expected=f"format {FORMAT} or older",
                remedy="update crispmap, or train the model again with this version",
            )
        try:
            facts = migrated_card(facts)
            card = _Card.model_validate(facts)
            return cls(
                kind=card.kind,
                architecture=card.architecture,
                arguments=card.arguments,
                schema=ClassSchema.from_json(json.dumps(card.classes)),
                band_names=tuple(card.band_names),
                scaling=Scaling(tuple(card.scaling_offset), tuple(card.scaling_scale)),
                gsd_m=card.gsd_m,
                radius_px=card.radius_px,
                stride_px=card.stride_px,
                provenance=card.provenance,
            )
        except (InputError, ValueError) as error:
            raise ModelError(f"The model card is damaged: {error}.", expected="a card written by crispmap") from error


class _Card(BaseModel):
    """A model card in JSON, as its format says."""

    model_config = ConfigDict(strict=True)

    kind: Kind
    architecture: str
    arguments: dict[str, JsonValue]
    classes: list[dict[str, JsonValue]]
    band_names: list[str]
    scaling_offset: list[float]
    scaling_scale: list[float]
    gsd_m: float
    radius_px: int | None
    stride_px: int
    provenance: dict[str, Any]


_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


@contextmanager
def opened_model(path: Path, framework: Literal["numpy", "pt"]) -> Iterator[Any]:
    """Open a model file for its metadata and tensors, as safetensors gives them.

    Raises:
        ModelError: If the file is missing, truncated or of another kind, also while it is read.
    """
    if not path.is_file():
        raise ModelError(
            f"{path} is not a file.",
            expected="a model file written by crispmap train",
            remedy="check the path, or train the model",
        )
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}.",
            expected="a complete .safetensors file",
            remedy="the file is truncated or of another kind; copy or train it again",
        ) from error


def read_card(path: Path) -> ModelCard:
    """Return the card of a model file without reading its weights.

    Raises:
        ModelError: If the file is missing, truncated, not a crispmap model, or of a newer format.
    """
    path = Path(path)
    with opened_model(path, "numpy") as file:
        metadata = file.metadata() or {}
    return card_in(metadata, path)


def card_in(metadata: dict[str, str], path: Path) -> ModelCard:
    """Return the card in the metadata of a model file.

    Raises:
        ModelError: If there is none, or it is damaged or of a newer format; the error names the file.
    """
    if CARD_KEY not in metadata:
        raise ModelError(
            f"{path} has no crispmap model card.",
            expected="a model file written by crispmap train",
            remedy="train a model, or ask where the file comes from",
        )
    try:
        return ModelCard.from_json(metadata[CARD_KEY])
    except ModelError as error:
        raise ModelError(f"{path}: {error.given}", expected=error.expected, remedy=error.remedy or _DAMAGED) from error


def check_kind(card: ModelCard, kind: Kind | None, path: Path) -> None:
    """Raise ModelError if a model file holds another kind of model than the one asked for."""
    if kind is not None and card.kind != kind:
        raise ModelError(
            f"{path} holds a {card.kind} model.", expected=f"a {kind} model", remedy="give the other model file here"
        )


def model_hash(path: Path) -> str:
    """Return the SHA-256 of a model file as hexadecimal text, as in the tags of maps."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
