"""Fits the baseline: a support vector machine on a thousand pixels of every class."""

from __future__ import annotations

import importlib.metadata
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from crispmap.classes import ClassSchema
from crispmap.data.batches import PieceTiles, in_order
from crispmap.data.patches import PatchSource
from crispmap.data.pixels import LEAST_PIXELS, PixelSample, check_enough, draw_pixels
from crispmap.errors import TrainingError
from crispmap.metrics import ConfusionMatrix
from crispmap.models.settings import TrainingSettings
from crispmap.models.svm.network import SupportVectorNetwork
from crispmap.training.learners import Learned, Lesson, Shapes
from crispmap.training.options import TrainingRun
from crispmap.types import CountArray, DoubleArray

PIXELS_PER_CLASS = 1000  # as many as in the IGARSS paper
COSTS = (1.0, 10.0, 100.0)
WIDTHS = (0.25, 1.0, 4.0)
"""Values of gamma that are tried, as multiples of 1 / features, scikit-learn's ``scale`` of standardised features."""
_SEARCH_FOLDS = 3
_CALIBRATION_FOLDS = 5
_TILE_PX = 256

Build = Callable[..., SupportVectorNetwork]
"""Returns an unfitted classifier for ``bands``, ``classes`` and ``vectors``."""


class SvmLearner:
    """Fits a classifier to 1,000 pixels of every class, each time anew: it has no state to resume."""

    holds_out = True

    def check(self, settings: TrainingSettings | None, shapes: Shapes, counts: CountArray, schema: ClassSchema) -> None:
        """Check that every class has enough pixels; see ``Learner.check``."""
        check_enough(counts, schema.names)

    def learn(self, lesson: Lesson, run: TrainingRun) -> Learned:  # noqa: D102 - as the protocol
        build = cast(Build, lesson.build)
        result = fit_svm(build, lesson.pieces, lesson.validation, lesson.schema, seed=lesson.seed)
        facts = {
            "settings": result.to_dict(),
            "seconds": round(result.seconds, 1),
            "validation_mean_iou": result.score,
            "scikit-learn": importlib.metadata.version("scikit-learn"),
        }
        return Learned(result.network, result.seconds, facts)


@dataclass(frozen=True)
class SvmResult:
    """What a fit gave."""

    network: SupportVectorNetwork  # the classifier as a coarse network, in evaluation mode
    cost: float  # C, as chosen by cross-validation
    gamma: float  # the kernel's, for standardised features, as chosen with it
    accuracy: float  # what they reached: mean over the folds of the mean share of each class that was found, 0..1
    drawn: dict[str, int]  # pixels of each class it was fitted on
    available: dict[str, int]  # pixels of each class there were
    score: float | None  # mean IoU on the validation data; None without a labelled pixel there
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return how the classifier was fitted as plain values."""
        return {
            "cost": self.cost,
            "gamma": self.gamma,
            "cross_validated_accuracy": self.accuracy,
            "pixels": self.drawn,
            "pixels_available": self.available,
            "support_vectors": len(self.network.vectors),
        }


def fit_svm(
    build: Build,
    pieces: Sequence[PatchSource],
    validation: Sequence[PatchSource],
    schema: ClassSchema,
    *,
    per_class: int = PIXELS_PER_CLASS,
    seed: int = 0,
) -> SvmResult:
    """Return a classifier fitted on pixels drawn evenly from every class; the same seed gives the same one.

    C of ``COSTS`` and gamma of ``WIDTHS`` are those with the highest balanced accuracy in 3-fold cross-validation on
    these pixels; then the support vector machine of each class is fitted on all pixels and calibrated (Platt 1999) on
    the decisions of 5-fold cross-validation. Probabilities are for areas where the classes are as frequent as in the
    sample. The fit is scored on the validation data, which choose nothing. Of a class with fewer pixels than
    ``per_class`` all are taken.

    Source: Maggiori et al., IGARSS 2016, section 5: "SVM with Gaussian kernel on 1k randomly selected pixels of each
    class"; C, gamma and probabilities are not stated there.

    Raises:
        TrainingError: If there is no piece, pieces have different bands, or ``per_class`` is below 10.
        LabelError: If a class has fewer than 10 pixels.
    """
    if per_class < LEAST_PIXELS:
        raise TrainingError(f"per_class is {per_class}.", expected=f"{LEAST_PIXELS} or more, such as 1000")
    began = time.perf_counter()
    bands = pieces[0].bands if pieces else 1
    unfitted = build(bands=bands, classes=len(schema))
    sample = draw_pixels(pieces, schema.names, per_class, margin_px=unfitted.train_margin_px, seed=seed)
    features = unfitted.features(torch.from_numpy(sample.images)).flatten(1).double().numpy()
    scaler = StandardScaler().fit(features)
    standard = scaler.transform(features)
    cost, gamma, accuracy = _search(standard, sample, seed)
    classifier = calibrated_classifier(cost, gamma, seed).fit(standard, sample.labels)
    network = network_of_classifier(build, bands, scaler, classifier)
    return SvmResult(
        network=network,
        cost=cost,
        gamma=gamma,
        accuracy=accuracy,
        drawn=dict(zip(schema.names, sample.drawn.tolist(), strict=True)),
        available=dict(zip(schema.names, sample.available.tolist(), strict=True)),
        score=_score(network, validation, schema),
        seconds=time.perf_counter() - began,
    )


def calibrated_classifier(cost: float, gamma: float, seed: int) -> OneVsRestClassifier:
    """Return scikit-learn's classifier, not fitted: one per class, with Platt's probabilities."""
    folds = StratifiedKFold(_CALIBRATION_FOLDS, shuffle=True, random_state=seed)
    machine = SVC(C=cost, gamma=gamma)
    return OneVsRestClassifier(CalibratedClassifierCV(machine, method="sigmoid", ensemble=False, cv=folds))


def network_of_classifier(
    build: Build, bands: int, scaler: StandardScaler, classifier: OneVsRestClassifier
) -> SupportVectorNetwork:
    """Return a network whose softmax is the classifier's ``predict_proba`` of features the scaler standardised."""
    calibrated = [one.calibrated_classifiers_[0] for one in classifier.estimators_]
    machines = [one.estimator for one in calibrated]
    (platt,) = zip(*(one.calibrators for one in calibrated), strict=True)
    # A pixel that is a support vector for several classes is kept, and its kernel evaluated, once.
    rows = np.unique(np.concatenate([machine.support_ for machine in machines]))
    vectors = np.zeros((len(rows), scaler.n_features_in_))
    weights = np.zeros((len(machines), len(rows)))
    for machine, row in zip(machines, weights, strict=True):
        places = np.searchsorted(rows, machine.support_)
        vectors[places] = machine.support_vectors_
        row[places] = machine.dual_coef_[0]
    network = build(bands=bands, classes=len(classifier.classes_), vectors=len(rows))
    state = {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "vectors": vectors,
        "weights": weights,
        "intercepts": [machine.intercept_[0] for machine in machines],
        "gamma": machines[0].gamma,
        "slopes": [-one.a_ for one in platt],
        "shifts": [-one.b_ for one in platt],
    }
    network.load_state_dict({name: torch.as_tensor(np.asarray(one, np.float64)) for name, one in state.items()})
    return network.eval()


def _search(features: DoubleArray, sample: PixelSample, seed: int) -> tuple[float, float, float]:
    """Return C, gamma and the accuracy they reached in cross-validation; of equals the first."""
    gammas = [width / features.shape[1] for width in WIDTHS]
    search = GridSearchCV(
        OneVsRestClassifier(SVC()),
        {"estimator__C": COSTS, "estimator__gamma": gammas},
        scoring="balanced_accuracy",
        cv=StratifiedKFold(_SEARCH_FOLDS, shuffle=True, random_state=seed),
        refit=False,
    )
    search.fit(features, sample.labels)
    best = search.best_params_
    return float(best["estimator__C"]), float(best["estimator__gamma"]), float(search.best_score_)


def _score(network: SupportVectorNetwork, pieces: Sequence[PatchSource], schema: ClassSchema) -> float | None:
    """Return the mean IoU on some pieces, 0..1; None where nothing is labelled."""
    confusion = ConfusionMatrix(schema.names)
    with torch.inference_mode():
        for batch in in_order(PieceTiles(pieces, _TILE_PX, network.train_margin_px)):
            predicted = network(batch["image"]).argmax(dim=1).to(torch.uint8)
            confusion.update(predicted.numpy(), batch["labels"].to(torch.uint8).numpy())
    return None if math.isnan(confusion.mean_iou) else confusion.mean_iou
