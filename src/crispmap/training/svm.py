"""Fits the baseline: a support vector machine on a thousand pixels of every class."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from crispmap.data.pixels import LEAST_PIXELS, PixelSample, draw_pixels
from crispmap.errors import TrainingError
from crispmap.metrics import ConfusionMatrix
from crispmap.models.svm.network import SupportVectorNetwork
from crispmap.types import DoubleArray

PIXELS_PER_CLASS = 1000
"""As many as in the IGARSS paper."""
COSTS = (1.0, 10.0, 100.0)
WIDTHS = (0.25, 1.0, 4.0)
"""Values of gamma that are tried, as multiples of 1 / features, scikit-learn's ``scale`` of standardised features."""
_SEARCH_FOLDS = 3
_CALIBRATION_FOLDS = 5
_TILE_PX = 256

Build = Callable[..., SupportVectorNetwork]
"""Returns an unfitted classifier for ``bands``, ``classes`` and ``vectors``."""


@dataclass(frozen=True)
class SvmResult:
    """What a fit gave.

    Attributes:
        network: The machine as a coarse network, in evaluation mode.
        cost: C, as chosen by cross-validation.
        gamma: The kernel's, for standardised features, as chosen with it.
        accuracy: What they reached: mean over the folds of the mean share of each class that was found, 0..1.
        drawn: Pixels of each class it was fitted on.
        available: Pixels of each class there were.
        score: Mean IoU on the validation data; None without a labelled pixel there.
        seconds: Spent.
    """

    network: SupportVectorNetwork
    cost: float
    gamma: float
    accuracy: float
    drawn: dict[str, int]
    available: dict[str, int]
    score: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return how the machine was fitted as plain values."""
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
    """Return a machine fitted on pixels drawn evenly from every class; the same seed gives the same one.

    C of ``COSTS`` and gamma of ``WIDTHS`` are those with the highest balanced accuracy in 3-fold cross-validation on
    these pixels; then the machine of each class is fitted on all of them and calibrated (Platt 1999) on the decisions
    of 5-fold cross-validation. Probabilities are for areas where the classes are as frequent as in the sample.

    Source: Maggiori et al., IGARSS 2016, section 5: "SVM with Gaussian kernel on 1k randomly selected pixels of each
    class"; C, gamma and probabilities are not stated there.

    Args:
        build: Returns the classifier, not fitted yet.
        pieces: Where pixels are drawn.
        validation: What the fit is scored on; may be empty. It chooses nothing.
        schema: The classes.
        per_class: Pixels drawn of each class, 10 or more; all of a class that has fewer.
        seed: Of the draw and of the folds.

    Raises:
        TrainingError: If there is no piece, pieces have different bands, or ``per_class`` is below 10.
        LabelError: If a class has fewer than 10 pixels.
    """
    if per_class < LEAST_PIXELS:
        raise TrainingError(
            f"{per_class} pixels of each class are to be drawn.", expected=f"{LEAST_PIXELS} or more, such as 1000"
        )
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
    """Return scikit-learn's classifier, not fitted: a machine a class, with Platt's probabilities."""
    folds = StratifiedKFold(_CALIBRATION_FOLDS, shuffle=True, random_state=seed)
    machine = SVC(C=cost, gamma=gamma)
    return OneVsRestClassifier(CalibratedClassifierCV(machine, method="sigmoid", ensemble=False, cv=folds))


def network_of_classifier(
    build: Build, bands: int, scaler: StandardScaler, classifier: OneVsRestClassifier
) -> SupportVectorNetwork:
    """Return a network whose softmax is the classifier's ``predict_proba`` of features the scaler standardised.

    Args:
        build: Returns the classifier, not fitted yet.
        bands: Bands of the image.
        scaler: Fitted on the features of pixels.
        classifier: From ``calibrated_classifier``, fitted on the same features, standardised.
    """
    calibrated = [one.calibrated_classifiers_[0] for one in classifier.estimators_]
    machines = [one.estimator for one in calibrated]
    (platt,) = zip(*(one.calibrators for one in calibrated), strict=True)
    # A pixel that is a support vector of several machines is kept, and its kernel evaluated, once.
    rows = np.unique(np.concatenate([machine.support_ for machine in machines]))
    vectors = np.zeros((len(rows), scaler.n_features_in_))
    weights = np.zeros((len(machines), len(rows)))
    for machine, row in zip(machines, weights, strict=True):
        places = np.searchsorted(rows, machine.support_)
        vectors[places] = machine.support_vectors_
        row[places] = machine.dual_coef_[0]
    network = build(bands=bands, classes=len(classifier.classes_), vectors=len(rows))
    held = {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "vectors": vectors,
        "weights": weights,
        "intercepts": [machine.intercept_[0] for machine in machines],
        "gamma": machines[0].gamma,
        "slopes": [-one.a_ for one in platt],
        "shifts": [-one.b_ for one in platt],
    }
    network.load_state_dict({name: torch.as_tensor(np.asarray(one, np.float64)) for name, one in held.items()})
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
