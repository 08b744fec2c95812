"""Hand-written partial differential equations of score maps: heat flow, two diffusions, active contours.

The processes that the recurrent refiner generalises (RNN paper, equations 1 to 4), by finite differences that are
explicit in time. Lengths are in pixels. Nothing is padded: a time step of ``dt`` removes one pixel on every side, so
any window gives the scores of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from crispmap.models.base import crop
from crispmap.refiners.hand_written import FitPlan, HandWrittenRefiner, Range, require
from crispmap.refiners.pde.edges import edge_stopping, gradient_margin_px, structure_tensor

LARGEST_DT = 0.25  # largest stable time step, for diffusivities up to 1 on the five-point stencil
MOST_TIME_STEPS = 1000
SIGMA_RANGE_PX = (0.3, 10.0)
_FLAT = 1e-6  # squared slope, in scores per pixel, below which a map counts as flat, without contours


EDGE_RANGES = {"kappa": Range(0.1, 0.003, 10.0), "sigma_px": Range(1.0, 0.4, 4.0)}
"""Search ranges of the edge-aware equations."""
_FIT_RUN = {"iterations": 20, "substeps": 10}  # the run that yields the best number of iterations, of 2.5 px^2 each
_FIT_TILE_PX = 384  # large, as 200 time steps need as wide a margin


class PdeRefiner(HandWrittenRefiner):
    """Scores that evolve by a partial differential equation, every class independently and by the same rule.

    An iteration is ``substeps`` time steps of ``dt``; the total time is iterations * substeps * dt, in px^2. Subclasses
    give the equation: ``coefficients`` from the image, once, and ``velocity`` for a time step.

    Args:
        substeps: Time steps in an iteration, 1 or more; at most ``MOST_TIME_STEPS`` in all.
        dt: Time of a time step, above 0 and at most ``LARGEST_DT``: beyond, the explicit scheme is unstable.
        biases: A bias for each class, added to the scores before the first step; none by default.

    Raises:
        ValueError: If an argument is out of its range.
    """

    edge_margin_px = 0  # pixels that the coefficients reach beyond the scores they act on

    def __init__(
        self,
        classes: int,
        bands: int,
        iterations: int = 5,
        substeps: int = 4,
        dt: float = LARGEST_DT,
        *,
        biases: Sequence[float] | None = None,
    ) -> None:
        super().__init__(classes, bands, iterations, biases, {"substeps": substeps, "dt": dt})
        require("substeps", substeps, substeps >= 1 and int(substeps) == substeps, "a whole number of 1 or more")
        total = iterations * substeps
        require("iterations times substeps", total, total <= MOST_TIME_STEPS, f"at most {MOST_TIME_STEPS}")
        require("dt", dt, 0 < dt <= LARGEST_DT, f"a number above 0, at most {LARGEST_DT}, where the scheme is stable")
        self.substeps, self.dt = substeps, dt
        self.margin_px = self.radius_px = total + self.edge_margin_px

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        coefficients = self.coefficients(image)
        u = crop(self.biased(scores), self.edge_margin_px)
        results = [crop(scores, self.margin_px)]
        for time_step in range(self.iterations * self.substeps):
            u = crop(u, 1) + self.dt * self.velocity(u, [crop(one, time_step) for one in coefficients])
            left = self.iterations * self.substeps - time_step - 1
            if left % self.substeps == 0:
                results.append(crop(u, left))
        return results

    def coefficients(self, image: Tensor) -> list[Tensor]:
        """Return the equation's coefficients on the pixels of the first time step, from an image with its margin."""
        raise NotImplementedError

    def velocity(self, u: Tensor, coefficients: list[Tensor]) -> Tensor:
        """Return du/dt, (batch, class, row - 2, col - 2), for scores (batch, class, row, col)."""
        raise NotImplementedError


class HeatRefiner(PdeRefiner):
    """Heat flow, u_t = div(grad u) (equation 1): scores blur, independent of the image.

    A new score is a mean of five old ones: mean and bounds are preserved. The bound on dt is sharp.
    """

    architecture = "heat"
    fit_plan = FitPlan({}, tries=15, tile_px=_FIT_TILE_PX, run=_FIT_RUN, reads_iterations=True)

    def coefficients(self, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        return []

    def velocity(self, u: Tensor, coefficients: list[Tensor]) -> Tensor:  # noqa: D102 - as the base class
        across, down = _slopes(u)
        return _divergence(across[..., 1:-1, :], down[..., :, 1:-1])


class _EdgeAwareRefiner(PdeRefiner):
    """An equation that depends on the edges of the image; further arguments as for PdeRefiner.

    Args:
        kappa: Slope of the image that halves g, above 0, in units of the scaled image per pixel.
        sigma_px: Scale at which slopes are taken, within ``SIGMA_RANGE_PX``.
    """

    fit_plan = FitPlan(EDGE_RANGES, tries=15, tile_px=_FIT_TILE_PX, run=_FIT_RUN, reads_iterations=True)

    def __init__(  # noqa: PLR0913 - the model's parameters
        self,
        classes: int,
        bands: int,
        iterations: int = 5,
        substeps: int = 4,
        dt: float = LARGEST_DT,
        *,
        kappa: float = 0.1,
        sigma_px: float = 1.0,
        biases: Sequence[float] | None = None,
    ) -> None:
        low, high = SIGMA_RANGE_PX
        require("sigma_px", sigma_px, low <= sigma_px <= high, f"a number within {low:g}..{high:g}")
        require("kappa", kappa, 0 < kappa < math.inf, "a finite number above 0")
        self.edge_margin_px = gradient_margin_px(sigma_px)
        super().__init__(classes, bands, iterations, substeps, dt, biases=biases)
        self.kappa, self.sigma_px = kappa, sigma_px
        self.arguments |= {"kappa": kappa, "sigma_px": sigma_px}


class EdgeStoppedRefiner(_EdgeAwareRefiner):
    """Diffusion that slows down at edges, u_t = div(g(I) grad u) (equation 2), with g of ``edge_stopping`` in 0..1.

    Fluxes leave one pixel and enter another, so the mean is preserved; with dt * max g <= 1/4 a new score is a mean of
    five old ones, so bounds are preserved too.
    """

    architecture = "edge-stopped"

    def coefficients(self, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        g = edge_stopping(image, self.sigma_px, self.kappa)
        across, down = (g[..., 1:] + g[..., :-1]) / 2, (g[..., 1:, :] + g[..., :-1, :]) / 2
        return [across[..., 1:-1, :], down[..., :, 1:-1]]

    def velocity(self, u: Tensor, coefficients: list[Tensor]) -> Tensor:  # noqa: D102 - as the base class
        across, down = _slopes(u)
        return _divergence(coefficients[0] * across[..., 1:-1, :], coefficients[1] * down[..., :, 1:-1])


class AnisotropicRefiner(_EdgeAwareRefiner):
    """Diffusion along edges, not across them, u_t = div(D(I) grad u) (equation 3).

    D = 1 - J / (kappa^2 + tr J) with J the structure tensor: where all bands have their slope in one direction, the
    diffusivity is g = 1 / (1 + |grad I|^2 / kappa^2) across the edge and 1 along it; else it is between. Eigenvalues
    lie in 0..1.

    The mean is preserved, and for dt <= 1/4 the sum of squares never grows: the scheme is the gradient flow of 1/2 sum
    of u_x D_xx u_x + u_y D_yy u_y over pairs of neighbours and of D_xy u_x u_y over corners, which is never negative
    and never above that of heat flow. Bounds are not preserved: a corner term may overshoot a little.
    """

    architecture = "anisotropic"

    def coefficients(self, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        xx, xy, yy = structure_tensor(image, self.sigma_px)
        share = 1 / (self.kappa**2 + xx + yy)
        corner = _corners(torch.cat([1 - xx * share, 1 - yy * share, -xy * share], dim=1))
        xx, yy, xy = corner[:, :1], corner[:, 1:2], corner[:, 2:]
        return [(xx[..., 1:, :] + xx[..., :-1, :]) / 2, (yy[..., 1:] + yy[..., :-1]) / 2, xy]

    def velocity(self, u: Tensor, coefficients: list[Tensor]) -> Tensor:  # noqa: D102 - as the base class
        xx, yy, xy = coefficients
        across, down = _slopes(u)
        by_rows = xy * (down[..., 1:] + down[..., :-1]) / 2
        by_cols = xy * (across[..., 1:, :] + across[..., :-1, :]) / 2
        flux_across = xx * across[..., 1:-1, :] + (by_rows[..., 1:, :] + by_rows[..., :-1, :]) / 2
        flux_down = yy * down[..., :, 1:-1] + (by_cols[..., 1:] + by_cols[..., :-1]) / 2
        return _divergence(flux_across, flux_down)


class GeodesicRefiner(_EdgeAwareRefiner):
    """Geodesic active contours, u_t = |grad u| div(g(I) grad u / |grad u|) (equation 4).

    Every contour of every map shrinks with its curvature, slower at edges of the image, and is attracted to edges:
    u_t = g * curvature * |grad u| + grad g . grad u, the first by central differences, the second by upwind ones. The
    equation moves contours of any level; relevant are those between classes. So the scores less their mean over classes
    evolve: with two classes the boundary is the zero level, and a number added to all scores of a pixel has no effect.
    With frozen coefficients the scheme is stable for dt <= 1/3, and dt is less.

    Source: Caselles, Kimmel and Sapiro, "Geodesic active contours", 1997; upwind as Osher and Sethian, 1988.
    """

    architecture = "geodesic"

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        level = scores.mean(1, keepdim=True)
        _, *later = super().all_iterations(scores - level, image)
        return [crop(scores, self.margin_px), *(one + crop(level, self.margin_px) for one in later)]

    def coefficients(self, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        g = edge_stopping(image, self.sigma_px, self.kappa)
        slopes = _central(g)
        return [crop(g, 1), slopes.x, slopes.y]

    def velocity(self, u: Tensor, coefficients: list[Tensor]) -> Tensor:  # noqa: D102 - as the base class
        g, g_x, g_y = coefficients
        across, down = _slopes(u)
        before, after = across[..., 1:-1, :-1], across[..., 1:-1, 1:]
        above, below = down[..., :-1, 1:-1], down[..., 1:, 1:-1]
        drawn = g_x.clamp(min=0) * after + g_x.clamp(max=0) * before + g_y.clamp(min=0) * below
        drawn += g_y.clamp(max=0) * above
        slopes = _central(u)
        mixed = (u[..., 2:, 2:] - u[..., 2:, :-2] - u[..., :-2, 2:] + u[..., :-2, :-2]) / 4
        squares_x, squares_y = slopes.x.square(), slopes.y.square()
        bent = (after - before) * squares_y - 2 * slopes.x * slopes.y * mixed + (below - above) * squares_x
        return g * bent / (squares_x + squares_y + _FLAT) + drawn


class _Slopes(NamedTuple):
    """Slopes of maps along columns (x) and rows (y)."""

    x: Tensor
    y: Tensor


def _slopes(u: Tensor) -> _Slopes:
    """Return differences of neighbours: (.., row, col - 1) and (.., row - 1, col)."""
    return _Slopes(u[..., 1:] - u[..., :-1], u[..., 1:, :] - u[..., :-1, :])


def _central(u: Tensor) -> _Slopes:
    """Return central differences at inner pixels, (.., row - 2, col - 2)."""
    return _Slopes((u[..., 1:-1, 2:] - u[..., 1:-1, :-2]) / 2, (u[..., 2:, 1:-1] - u[..., :-2, 1:-1]) / 2)


def _corners(maps: Tensor) -> Tensor:
    """Return the mean of the four pixels around every inner corner, (.., row - 1, col - 1)."""
    rows = maps[..., 1:, :] + maps[..., :-1, :]
    return (rows[..., 1:] + rows[..., :-1]) / 4


def _divergence(across: Tensor, down: Tensor) -> Tensor:
    """Return the net inflow of every inner pixel, (.., row - 2, col - 2), from the fluxes between pixels."""
    return across[..., 1:] - across[..., :-1] + down[..., 1:, :] - down[..., :-1, :]
