"""Checks of how the values of a project file fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crispmap.errors import did_you_mean
from crispmap.project.file.findings import Finding, named
from crispmap.project.file.marked_yaml import Location
from crispmap.project.file.root import ProjectFile
from crispmap.project.file.scenes import ProjectScene
from crispmap.project.file.sections import ModelsSection

GENERAL = "general"  # the refiner that is shipped, and needs no reference
_LEARNS_AND_SCORES = "areas.refiner, where the refiner learns, and areas.test, where maps are scored"
_ADD_AREA = "Add areas: {role} with a window, bounds, polygon or file."


def contradictions(file: ProjectFile, scenes: Sequence[ProjectScene]) -> Iterator[Finding]:
    """Yield what is wrong with how the values of a file fit together."""
    if file.dataset is not None:
        yield from _of_data_set(file)
        yield from _of_working_distance(file)
        return
    yield from _of_several(file)
    if file.models is None:
        yield from _of_coarse_scores(file, scenes)
        yield from _of_finetuning(file, scenes)
        yield from _of_refiner(file, scenes)
    else:
        yield from _of_models(file, file.models, scenes)
    yield from _of_reference(file, scenes)
    yield from _of_classes(file)
    yield from _of_working_distance(file)


def _of_data_set(file: ProjectFile) -> Iterator[Finding]:
    """Yield keys that a data set takes the place of, or that need another refiner than it trains."""
    for key in ("scene", "scenes", "labels", "reference"):
        if getattr(file, key) is not None:
            yield Finding(
                (key,), f"{key} is given beside dataset", "images and masks of the data set", f"Remove {key}."
            )
    if file.areas.model_fields_set:
        yield Finding(("areas",), "areas are given beside dataset", "split: under dataset", "Remove areas.")
    if file.coarse.scores is not None:
        at = ("coarse", "scores")
        yield Finding(at, "coarse.scores is given beside dataset", "a network to train", "Remove scores.")
    if file.refiner is not None and file.models is not None:
        yield Finding(("refiner",), "refiner is given beside models, which are finished", "one of both", "Remove one.")
    if file.refiner is not None and file.refiner.corrected_labels:
        at = ("refiner", "corrected_labels")
        yield Finding(at, "corrected_labels is given for a data set", "imprecise labels to correct", "Remove it.")
    if file.refiner is not None and file.models is None and not file.dataset_refines:
        yield Finding(
            ("refiner",), "refiner is given, but no image of the data set is for it", "dataset: split: refiner",
            "Add dataset: split: {refiner: 0.1}, or remove refiner: a data set of precise masks needs none.",
        )  # fmt: skip


def _of_working_distance(file: ProjectFile) -> Iterator[Finding]:
    key, fine = ("gsd_m", file.gsd_m) if file.scene is None else ("scene.gsd_m", file.scene.gsd_m)
    coarse = file.coarse.gsd_m
    if fine is not None and coarse is not None and coarse < fine:
        yield Finding(
            ("coarse", "gsd_m"), f"coarse.gsd_m is {coarse:g}, finer than {key}, {fine:g}",
            "a ground sampling distance as coarse as the scene's, or coarser", f"Raise coarse.gsd_m, or lower {key}.",
        )  # fmt: skip


def _of_several(file: ProjectFile) -> Iterator[Finding]:
    """Yield keys that belong to one scene and are given for several, or the other way round."""
    move = "Move them to their scenes."
    if file.scenes is None:
        if file.gsd_m is not None:
            yield Finding(("gsd_m",), "gsd_m is given for one scene", "gsd_m under scene:", "Move it to scene:.")
        return
    if file.areas.model_fields_set:
        yield Finding(("areas",), "areas are given beside scenes", "areas under each of the scenes", move)
    if file.coarse.scores is not None:
        at = ("coarse", "scores")
        yield Finding(at, "coarse.scores is given beside scenes", "scores under each of the scenes", move)


def _of_classes(file: ProjectFile) -> Iterator[Finding]:
    names = [entry.name for entry in file.classes or ()]
    places: list[tuple[Location, object]] = [((), file)]
    places += [(("scenes", index), one) for index, one in enumerate(file.scenes or ())]
    for place, holder in places:
        for key in ("labels", "reference"):
            at, section = (*place, key, "all_as"), getattr(holder, key)
            if section is not None and section.all_as is not None and section.all_as not in names:
                given = f"{named(at)} is {section.all_as!r}, which is not a class"
                yield Finding(at, given, f"one of {', '.join(names)}", did_you_mean(section.all_as, names))


def _of_coarse_scores(file: ProjectFile, scenes: Sequence[ProjectScene]) -> Iterator[Finding]:
    if any(one.scores is not None for one in scenes):
        yield from _of_given_scores(file, scenes)
    elif all(one.labels is None for one in scenes):
        yield Finding(
            (), "there are neither labels nor coarse.scores", "labels the coarse network learns from, or scores of "
            "another tool", "Add labels: {path: ...}, or coarse: {scores: {path: ...}}.",
        )  # fmt: skip
    elif not any("coarse" in one.areas for one in scenes):
        expected = "the area the coarse network learns from"
        yield Finding(("areas",), "areas.coarse is missing", expected, _ADD_AREA.format(role="coarse"))
    for one in scenes:
        if one.scores is None and "coarse" in one.areas and one.labels is None and file.scenes is not None:
            yield Finding(
                (*one.at, "areas", "coarse"), f"{named(one.at)} has areas.coarse, but no labels",
                "labels to learn from", "Add labels: {path: ...} to the scene.",
            )  # fmt: skip


def _of_given_scores(file: ProjectFile, scenes: Sequence[ProjectScene]) -> Iterator[Finding]:
    others = sorted(file.coarse.model_fields_set - {"scores"})
    if others:
        yield Finding(
            ("coarse", others[0]), f"coarse gives scores and {', '.join(others)} too",
            "either scores of another tool, or a network to train", f"Remove {', '.join(others)}, or remove scores.",
        )  # fmt: skip
    for one in scenes:
        if one.scores is None:
            given = f"{named(one.at)} has no scores, but other scenes do"
            yield Finding(one.at, given, "scores for every scene, or for none", "Add scores: {path: ...} to the scene.")
    if all(one.reference is None for one in scenes):
        yield Finding(
            ("coarse", "scores"), "coarse gives scores, but there is no reference",
            "a reference the refiner learns from", "Add reference, areas.refiner and areas.test.",
        )  # fmt: skip


def _of_models(file: ProjectFile, models: ModelsSection, scenes: Sequence[ProjectScene]) -> Iterator[Finding]:
    """Yield what is missing beside finished models, and what only a training would use."""
    if models.coarse is None and models.refiner is None:
        yield Finding(("models",), "models names none", "coarse, refiner, or both", "Add models: {coarse: ...}.")
        return
    scored = all(one.scores is not None for one in scenes)
    if (models.coarse is None) != scored:
        given = "models.coarse is missing" if models.coarse is None else "models.coarse is given beside coarse scores"
        expected = "a finished coarse network, or coarse scores of every scene"
        yield Finding(("models",), given, expected, "Add models: {coarse: ...}, or scores; not both.")
    given_keys: list[Location] = [(name,) for name in ("labels", "finetune", "refiner") if getattr(file, name)]
    if "coarse" in file.model_fields_set:
        given_keys += [("coarse", name) for name in sorted(file.coarse.model_fields_set - {"scores"})]
    for one in scenes:
        given_keys += [(*one.at, "labels")] if one.labels is not None and one.at else []
        given_keys += [(*one.at, "areas", role) for role in one.areas if role != "test"]
    for at in dict.fromkeys(given_keys):
        yield Finding(
            at, f"{named(at)} is given beside models, which are finished", "models, or what they are trained with",
            f"Remove {named(at)}, or models.",
        )  # fmt: skip


def _of_finetuning(file: ProjectFile, scenes: Sequence[ProjectScene]) -> Iterator[Finding]:
    if not file.finetune:
        return
    if any(one.scores is not None for one in scenes):
        given = "finetune is given, but the coarse scores are those of another tool"
        yield Finding(("finetune",), given, "a coarse network of its own", "Remove finetune, or scores.")
    elif file.coarse.architecture.learner != "gradient":
        given = f"finetune is given, but {file.coarse.kind} is fitted at once"
        yield Finding(("finetune",), given, "a network that is trained in steps", "Remove finetune.")
    if all(one.reference is None for one in scenes):
        yield _without_reference(("finetune",))


def _of_refiner(file: ProjectFile, scenes: Sequence[ProjectScene]) -> Iterator[Finding]:
    refiner = file.refiner
    if refiner is None or not refiner.corrected_labels:
        return
    at, given = ("refiner", "corrected_labels"), "refiner gives corrected_labels: true, but"
    if refiner.architecture.learner != "gradient":
        yield Finding(
            at, f"{given} {refiner.kind} is fitted to a few numbers", "a refiner that is trained in steps",
            "Remove corrected_labels, or choose another kind.",
        )  # fmt: skip
    if any(one.scores is not None for one in scenes):
        yield Finding(
            at, f"{given} the coarse scores are given",
            "a coarse network of its own: scores of its area come from networks that did not learn there",
            "Remove corrected_labels, or name a network under coarse: in place of scores.",
        )  # fmt: skip


def _of_reference(file: ProjectFile, scenes: Sequence[ProjectScene]) -> Iterator[Finding]:
    """Yield what needs a precise reference and has none, or is needed by it."""
    if any(one.reference is not None for one in scenes):
        # A reference without an area to learn from is one to score against.
        learns = bool((file.refiner and not _shipped(file)) or file.finetune) or any(
            one.scores is not None for one in scenes
        )
        for role in ("refiner", "test") if learns and file.models is None else ("test",):
            if not any(role in one.areas for one in scenes):
                yield Finding(
                    ("areas",), f"a reference is given, but areas.{role} is missing",
                    _LEARNS_AND_SCORES if learns and file.models is None else "areas.test, where maps are scored",
                    _ADD_AREA.format(role=role),
                )  # fmt: skip
    elif file.refiner is not None and file.models is None and not _shipped(file):
        yield _without_reference(("refiner",))
    for one in scenes:
        for role in ("refiner", "test"):
            if one.reference is None and role in one.areas:
                yield _without_reference((*one.at, "areas", role))


def _shipped(file: ProjectFile) -> bool:
    """Return whether the refiner needs nothing to learn from."""
    return file.refiner is not None and file.refiner.kind == GENERAL


def _without_reference(at: Location) -> Finding:
    return Finding(
        at, f"{named(at)} is given, but there is no reference", "a precise reference to learn from or to score against",
        f"Add reference: {{path: ...}}, or remove {named(at)}.",
    )  # fmt: skip
