"""Scores as coarse networks give them: those of networks that learned imprecise labels, and truth spoilt as they do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, label, map_coordinates, zoom
from torch.nn import functional as F

from crispmap.models.registry import architectures
from crispmap.refiners.general.likeness import description, forms_by, likeness
from crispmap.refiners.general.planes import BRIGHTEST
from crispmap.synth.chance import Dice, smooth_noise
from crispmap.types import BoolArray, FloatArray, LabelArray
from town_ground import CLASSES, Ground

_STEPS, _BATCH, _PATCH_PX = 130, 6, 64
_LEARNED = 0.5  # the share of a town that its coarse network learns on, from the left


def add_scores(ground: Ground, *, spoilt: int, networks: bool) -> None:
    """Add scores to a ground: so many of spoilt truth, and those of a network that learned on its left half."""
    dice = Dice.of(ground.seed, 13)
    for _ in range(spoilt):
        ground.scores.append(spoilt_truth(ground, dice))
    if networks:
        ground.scores.append(network_scores(ground, dice))
    ground.alike = [likeness_by(scores, ground) for scores in ground.scores]


def likeness_by(scores: FloatArray, ground: Ground) -> FloatArray:
    """Return the likeness of each class as a refiner sees it in a scene with these scores."""
    described = description(torch.from_numpy(ground.planes)[None].clamp(-BRIGHTEST, BRIGHTEST))
    forms = forms_by(scores.reshape(CLASSES, -1), described[0].flatten(1).numpy())
    found: FloatArray = likeness(described, forms)[0].numpy()
    return found


def spoilt_truth(ground: Ground, dice: Dice) -> FloatArray:
    """Return scores (class, row, col): truth or labels, moved, with objects missing or too many, blurred, uneven."""
    drawn = ground.labels if dice.chance(0.35) else ground.truth
    shape = drawn.shape
    drawn = _moved(_incomplete(drawn, dice, dice.between(0.0, 0.25)), dice, dice.between(0.0, 2.0) / ground.gsd_m)
    sigma = float(np.clip(np.exp(dice.normal(1.1, 0.65)), 0.7, 12.0))
    shares = np.stack([gaussian_filter((drawn == k).astype(np.float32), sigma) for k in range(CLASSES)])
    alike = _alike(ground, dice)
    weight = dice.between(0.0, 0.45)
    shares = (1 - weight) * shares + weight * alike
    shares += np.float32(dice.between(0.01, 0.08))
    logits = np.log(shares) * dice.between(0.7, 2.6)
    for k in range(CLASSES):
        rough = sum(smooth_noise(shape, length, dice) for length in (4.0 * sigma, 14.0 * sigma))
        logits[k] += dice.between(0.0, 0.5) * rough + dice.normal(0, 0.5)
    return _at_coarser(logits, dice).astype(np.float32)


def _incomplete(drawn: LabelArray, dice: Dice, share: float) -> LabelArray:
    """Return labels without a share of their buildings, and with buildings where there are none."""
    parts, count = label(drawn == 1)
    gone = np.zeros(count + 1, np.bool_)
    gone[1:] = dice.random(count) < share
    kept = drawn.copy()
    kept[gone[parts]] = 0
    if dice.chance(0.5):
        blobs: BoolArray = smooth_noise(drawn.shape, dice.between(10.0, 40.0), dice) > dice.between(2.0, 3.0)
        kept[blobs & (kept == 0)] = 1
    return kept


def _moved(drawn: LabelArray, dice: Dice, by_px: float) -> LabelArray:
    """Return labels moved by a field of so many pixels, smooth and the same everywhere in part."""
    by_px = min(by_px, 6.0)
    rows, cols = np.mgrid[: drawn.shape[0], : drawn.shape[1]].astype(np.float32)
    rows += by_px * 0.7 * (smooth_noise(drawn.shape, 90.0, dice) + dice.normal(0, 0.6))
    cols += by_px * 0.7 * (smooth_noise(drawn.shape, 90.0, dice) + dice.normal(0, 0.6))
    moved: LabelArray = map_coordinates(drawn, [rows, cols], order=0, mode="nearest")
    return moved


def _alike(ground: Ground, dice: Dice) -> FloatArray:
    """Return for every class how much a place looks like it: what a network of little context believes."""
    sigma = dice.between(1.0, 5.0)
    planes = np.stack([gaussian_filter(plane, sigma) for plane in ground.planes])
    rough = gaussian_filter((ground.planes[0] - planes[0]) ** 2, sigma + 1.0) ** 0.5
    seen = np.concatenate([planes, rough[None]])
    distance = []
    for k in range(CLASSES):
        of_class = seen[:, ground.labels == k]
        if of_class.shape[1] < 20:
            distance.append(np.full(seen.shape[1:], 9.0, np.float32))
            continue
        deviation = of_class.std(axis=1) + 0.1
        centre = of_class.mean(axis=1)
        far = (((seen - centre[:, None, None]) / deviation[:, None, None]) ** 2).sum(axis=0)
        distance.append(0.5 * far + np.log(deviation).sum())
    odds = -np.stack(distance)
    odds = np.exp(odds - odds.max(axis=0))
    shares: FloatArray = (odds / odds.sum(axis=0)).astype(np.float32)
    return shares


def _at_coarser(logits: FloatArray, dice: Dice) -> FloatArray:
    """Return scores that were computed at larger pixels and enlarged, as often as not."""
    factor = dice.pick((1, 1, 2, 4))
    if factor == 1:
        return logits
    small = logits.reshape(CLASSES, logits.shape[1] // factor, factor, -1, factor).mean(axis=(2, 4))
    enlarged: FloatArray = zoom(small, (1, factor, factor), order=1, grid_mode=True, mode="nearest")
    return enlarged


def network_scores(ground: Ground, dice: Dice) -> FloatArray:
    """Return the scores of the RNN paper's coarse network, which learned the imprecise labels of the left half."""
    factor = 2 if ground.gsd_m <= 0.6 else 1
    image = torch.from_numpy(ground.image)[None]
    image = F.avg_pool2d(image, factor)
    labels = torch.from_numpy(ground.labels[factor // 2 :: factor, factor // 2 :: factor].astype(np.int64))
    torch.manual_seed(ground.seed)
    network: Any = architectures()["fcn-rnn"].build(bands=len(ground.image), classes=CLASSES)
    margin, steps = int(network.train_margin_px), int(_STEPS * dice.between(0.6, 1.6))
    seen = F.pad(image, (margin, margin, margin, margin), mode="reflect")
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    height, width = labels.shape
    for _ in range(steps):
        corners = [
            (int(dice.integers(0, height - _PATCH_PX)), int(dice.integers(0, int(width * _LEARNED) - _PATCH_PX)))
            for _ in range(_BATCH)
        ]
        side = _PATCH_PX + 2 * margin
        inputs = torch.cat([seen[..., r : r + side, c : c + side] for r, c in corners])
        wanted = torch.stack([labels[r : r + _PATCH_PX, c : c + _PATCH_PX] for r, c in corners])
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(network(inputs).float(), wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        scores = network.eval()(seen)
        scores = F.interpolate(scores, scale_factor=float(factor), mode="bilinear") if factor > 1 else scores
    found: FloatArray = scores[0].numpy()
    return found
