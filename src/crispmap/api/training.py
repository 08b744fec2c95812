"""Models trained from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

from pydantic import ValidationError

from crispmap.api.given import path_of
from crispmap.errors import InputError
from crispmap.events import SILENT, Listener
from crispmap.models.file import load_model
from crispmap.models.model import CoarseModel, RefinerModel
from crispmap.project.dataset import Dataset
from crispmap.project.file import CoarseSection, FinetuneSection, Project, RefinerSection
from crispmap.project.run import Products, train_project


class TrainOptions(TypedDict, total=False):
    """How a training runs."""

    # whether the coarse network of a dataset goes on with its precise labels, or the settings of that
    finetune: bool | Mapping[str, Any]
    start: str | Path  # a trained network of the same kind that the coarse network goes on from
    device: str  # "auto" (the default), "cpu" or "cuda"
    force: bool  # replace models that exist
    resume: bool  # continue a training that was interrupted
    events: Listener  # what progress is reported to; by default nothing is shown


def train(
    data: str | Path | Dataset,
    out: str | Path | None = None,
    *,
    coarse: Mapping[str, Any] | None = None,
    refiner: Mapping[str, Any] | None = None,
    seed: int | None = None,
    **options: Unpack[TrainOptions],
) -> dict[str, CoarseModel | RefinerModel]:
    """Train a coarse network, fine-tune it, and train a refiner, as far as that is asked for.

    The models are returned by "coarse", "finetuned" and "refiner".

    Model files, checkpoints and logs are written to a folder. The same data, settings and seed give the same models.

    Args:
        data: A project file or its folder, or a dataset. The other arguments but ``options`` are for a dataset.
        out: The folder; a project names its own.
        coarse: The keys of the project file's section ``coarse``, such as ``{"kind": "unet-lite0", "max_steps": 500}``.
        refiner: Likewise of ``refiner``; None: no refiner is trained.
        **options: See ``TrainOptions``.

    Raises:
        ProjectError: If the project file is wrong, or a setting is not known.
        TrainingError: If a training cannot start, or diverges.
        OutputError: If models exist and ``force`` is not given.
        InputError: If settings are given for a project, or no folder for a dataset.
    """
    # Lightning Fabric takes more than a second to import, and maps need none of it.
    from crispmap.project.stages import train_stages
    from crispmap.training.options import TrainerOptions, TrainingRun

    if unknown := options.keys() - TrainOptions.__annotations__.keys():
        known = ", ".join(TrainOptions.__annotations__)
        raise TypeError(f"unexpected keyword arguments: {', '.join(sorted(unknown))}; known are {known}")
    trainer, events = TrainerOptions(options.get("device", "auto")), options.get("events", SILENT)
    force, resume = options.get("force", False), options.get("resume", False)
    start = None if options.get("start") is None else Path(path_of(options["start"], "start"))
    if not isinstance(data, Dataset):
        path = Path(path_of(data, "project"))
        if any(one is not None for one in (out, coarse, refiner, seed)):
            raise InputError(
                "out, coarse, refiner or seed is given beside a project.",
                expected="a project alone, or a Dataset with them", remedy="set them in the project file",
            )  # fmt: skip
        if "finetune" in options:
            raise InputError("finetune is given beside a project.", expected="finetune: in the project file")
        written = train_project(path, start=start, trainer=trainer, events=events, force=force, resume=resume)
        return {path.stem: load_model(path) for path in written}
    if out is None:
        raise InputError("No folder is given for the models.", expected="out=, such as out='models'")
    folder = Path(path_of(out, "folder"))
    for name, settings in (("coarse", coarse), ("refiner", refiner)):
        if settings is not None and (not isinstance(settings, Mapping) or "scores" in settings):
            raise InputError(
                f"{name} is {settings!r}.",
                expected="settings of a network, such as {'kind': 'unet-lite0', 'max_steps': 500}",
            )
    section = None if refiner is None else RefinerSection.from_values(refiner)
    network = CoarseSection.from_values(coarse or {}).model_copy(update={"start": start})
    finetune = _finetune_section(options.get("finetune", False))
    project = Project(
        folder / "dataset", folder.name, _checked_seed(seed), (), None, data.schema, network, section, folder,
        finetune=finetune,
    )  # fmt: skip
    wanted = {"coarse": True, "finetuned": finetune is not None, "refiner": refiner is not None}
    products, makes = Products(folder), [name for name, there in wanted.items() if there]
    run = TrainingRun(products.training, trainer=trainer, events=events, force=force, resume=resume)
    train_stages(data, project, products.models, run, makes)
    return {name: load_model(products.models[name]) for name in makes}


def _finetune_section(given: bool | Mapping[str, Any]) -> FinetuneSection | None:
    """Return how the network is fine-tuned; None where it is not."""
    if given is False:
        return None
    try:
        return FinetuneSection.model_validate({} if given is True else given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"finetune is {given!r}: {first['msg']}.",
            expected="True, False, or settings such as {'max_steps': 80}",
        ) from error


def _checked_seed(seed: int | None) -> int:
    if seed is not None and (not isinstance(seed, int) or not 0 <= seed < 2**32):
        raise InputError(f"seed is {seed!r}.", expected="a whole number from 0 to 4294967295")
    return seed or 0
