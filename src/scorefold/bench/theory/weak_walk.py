"""Weak convergence of the geodesic random walk, and its order and constant.

Jørgensen (1975, Theorem 2.1; no rate is given): E f(X_{⌈s/γ⌉}) → P_s f as γ → 0 for the walk
X ← exp_X(√γ Z), P_s the heat semigroup of generator ½Δ.

Without a drift, and where all directions are alike, a step multiplies an eigenfunction f of −Δ by
one number, c(γ) = E R(√γ|Z|), R the spherical mean of f: the walk is solved by quadrature over one
step. Expanding the step, E f(exp_x(√γ Z)) = f + ½γ Δf + ⅛γ² (Δ²f + ⅔⟨Ric, ∇²f⟩) + …, so that on
an Einstein manifold, Ric = ρg (ρ = d − 1 on S^d, ½ on SO(3), 0 on flat space),

    c(γ)^{s/γ} = exp(−½λs (1 + ργ/6 + O(γ²))):

the walk is Brownian motion with a clock fast by the factor 1 + ργ/6, for all f alike.

With a drift, the Langevin process on S² to a heat kernel, E f of functions of the height follows
from the matrix of one step between Gauss's nodes, and the semigroup from that of the generator.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import legendre

from scorefold._types import Point, Scalar, constant
from scorefold.bench.contract import Measurement
from scorefold.bench.theory.ends import last_order, limit, numbers
from scorefold.bench.theory.quadrature import gauss, in_double
from scorefold.manifolds import SO3, Manifold, Sphere
from scorefold.noising import Langevin
from scorefold.report.panels import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Found = Mapping[tuple[str, str], Measurement]
SPACES: dict[str, tuple[Manifold, float]] = {
    "S^1": (Sphere(1), 0.0), "S^2": (Sphere(2), 1.0), "S^3": (Sphere(3), 2.0), "SO(3)": (SO3(), 0.5)
}  # fmt: skip
"""With ρ, Ric = ρg."""
METHOD, DRIFT = "geodesic random walk", "S^2, drift to a heat kernel"
_STEPS = {
    "quick": (0.2, 0.1, 0.05, 0.025),
    "default": (0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625),
    "full": (0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125),
}
"""Steps γ, each a part of s = 1."""
_TIME, _DEGREES = 1.0, (1, 2, 3, 4)
_HEIGHTS = 40
"""Gauss's nodes of functions of the height on S²."""


def eigenvalue(manifold: Manifold, degree: int) -> float:
    """λ of the eigenfunction of that degree: l(l + d − 1), on SO(3) l(l + 1)."""
    return float(degree * (degree + (1 if isinstance(manifold, SO3) else manifold.dim - 1)))


def eigenfunction(manifold: Manifold, degree: int, x: Point) -> Scalar:
    """The one that depends on the distance r from the origin alone, 1 there: cos lr on S¹, P_l on
    S², sin (l+1)r / ((l+1) sin r) on S³, sin (l+½)r / ((2l+1) sin ½r) on SO(3)."""
    r = manifold.dist(manifold.origin(x.dtype), x)
    if manifold.dim == 1:
        return jnp.cos(degree * r)
    if isinstance(manifold, SO3):
        return _sine_ratio(2 * degree + 1, 0.5 * r)
    if manifold.dim == 3:
        return _sine_ratio(degree + 1, r)
    return _legendre(degree, jnp.cos(r))


def multipliers(manifold: Manifold, steps: Sequence[float]) -> np.ndarray:
    """c(γ), one row a step and one column a degree, by quadrature over the length of √γ Z, of law
    χ_d, along one direction from the origin (the spherical mean of a function of the distance is
    its value)."""
    nodes, weights = gauss(200)
    length = 5.0 * (nodes + 1.0)
    # Lengths beyond 10 have probability below 1e-20.
    weights = weights * length ** (manifold.dim - 1) * np.exp(-0.5 * length**2)

    @jax.jit
    def values(step: Array, length: Array) -> Array:
        origin = manifold.origin(step.dtype)
        ray = manifold.frame(origin)[0]

        def one(r: Scalar) -> Array:
            x = manifold.exp(origin, r * ray)
            return jnp.stack([eigenfunction(manifold, degree, x) for degree in _DEGREES])

        return jax.vmap(lambda h: jax.vmap(one)(jnp.sqrt(h) * length))(step)

    found = np.asarray(values(np.asarray(steps), length))
    return np.einsum("r,grl->gl", weights / weights.sum(), found)


def free(space: str, steps: Sequence[float]) -> Measurement:
    """|E f − P_s f| at s = 1 from x₀ = the origin, for the first eigenfunctions, and how fast the
    clock of the walk is, (−2 log c/γ λ − 1)/γ → ρ/6."""
    manifold, ricci = SPACES[space]
    errors, clocks, values = [], [], {}
    for degree, c in zip(_DEGREES, multipliers(manifold, steps).T, strict=True):
        gap = eigenvalue(manifold, degree)
        walked = [math.copysign(abs(a) ** (_TIME / g), a) for a, g in zip(c, steps, strict=True)]
        errors.append([abs(w - math.exp(-0.5 * gap * _TIME)) for w in walked])
        clock = [(-2 * math.log(abs(a)) / (g * gap) - 1) / g for a, g in zip(c, steps, strict=True)]
        clocks.append(clock)
        values[f"clock, degree {degree}"] = limit(steps, clock)
        if ricci:
            values[f"order of γ, degree {degree}"] = last_order(steps, errors[-1])
    values["clock, expected"] = ricci / 6.0
    values["largest error"] = max(map(max, errors))
    more = {"gamma": list(steps), "errors": errors, "clocks": clocks, "degrees": list(_DEGREES)}
    return Measurement(values, more=more)


def drifted(steps: Sequence[float]) -> Measurement:
    """The same for f = height x₀ and the Langevin process of the library on S² to p_½(· | e₀),
    begun at the equator: at s = 1, and in the stationary law."""
    from scipy.linalg import expm

    process = Langevin(Sphere(2), std=math.sqrt(0.5))
    z, w = gauss(_HEIGHTS)
    points = jnp.stack([jnp.asarray(z), jnp.sqrt(1.0 - jnp.asarray(z) ** 2), jnp.zeros(len(z))], -1)
    drift, log_p = (
        jax.jit(jax.vmap(f))(points) for f in (process.drift, process.reference.log_prob)
    )
    # Values at the nodes to coefficients of Legendre polynomials.
    basis = legendre.legvander(z, _HEIGHTS - 1)
    analyse = (basis * w[:, None]).T * (np.arange(_HEIGHTS) + 0.5)[:, None]
    equator = legendre.legvander(np.zeros(1), _HEIGHTS - 1)[0] @ analyse
    p = w * np.exp(np.asarray(log_p))
    stationary = float(p @ z / p.sum())
    l = np.arange(_HEIGHTS)
    slopes = legendre.legval(z, legendre.legder(np.eye(_HEIGHTS))).T
    # L P_l = −½l(l+1) P_l + b₀ P_l', b₀ the height of the drift.
    generator = (-0.5 * l * (l + 1) * basis + np.asarray(drift)[:, :1] * slopes) @ analyse
    exact = float(equator @ expm(_TIME * generator) @ z)
    means, errors, biases = [], [], []
    for step in steps:
        matrix = _one_step(process.manifold, points, drift, step) @ analyse
        value = z
        for _ in range(round(_TIME / step)):
            value = matrix @ value
        means.append(float(equator @ value))
        errors.append(abs(means[-1] - exact))
        # The mean of x₀ in the stationary law of the walk: what many steps make of it.
        many = np.linalg.matrix_power(matrix, 2 ** math.ceil(math.log2(60.0 / step)))
        biases.append(abs(float(equator @ many @ z) - stationary))
    values = {
        "order of γ": last_order(steps, errors),
        "constant of γ": errors[-1] / steps[-1],
        "order of γ, stationary": last_order(steps, biases),
        "constant of γ, stationary": biases[-1] / steps[-1],
        "mean height": exact,
        "mean height, stationary": stationary,
    }
    more = {"gamma": list(steps), "means": means, "errors": errors, "biases": biases}
    return Measurement(values, more=more)


def _one_step(manifold: Manifold, points: Array, drift: Array, step: float) -> np.ndarray:
    """E P_l(height of exp_x(γb + √γ Z)), one row a point: lengths by Gauss, directions evenly."""
    nodes, weights = gauss(48)
    length = 4.5 * (nodes + 1.0)
    weights = weights * length * np.exp(-0.5 * length**2)
    h = np.asarray(_heights(manifold, points, drift, np.asarray(step), length))
    return weights @ legendre.legvander(np.clip(h, -1.0, 1.0), _HEIGHTS - 1).mean(2) / weights.sum()


@functools.partial(jax.jit, static_argnums=0)
def _heights(manifold: Manifold, points: Array, drift: Array, step: Scalar, length: Array) -> Array:
    """Of exp_x(γb + √γ t u): one row a point x, a column a length t, then 48 directions u."""
    turns = jnp.asarray(2 * math.pi * np.arange(48) / 48)

    def one(x: Point, b: Point, t: Scalar, turn: Scalar) -> Scalar:
        frame = manifold.frame(x)
        ray = jnp.cos(turn) * frame[0] + jnp.sin(turn) * frame[1]
        return manifold.exp(x, step * b + jnp.sqrt(step) * t * ray)[0]

    each = jax.vmap(one, (None, None, None, 0))
    each = jax.vmap(each, (None, None, 0, None))
    return jax.vmap(each, (0, 0, None, None))(points, drift, length, turns)


def _sine_ratio(n: int, r: Scalar) -> Scalar:
    """sin nr / (n sin r) = (e^{i(n−1)r} + … + e^{−i(n−1)r})/n, also at multiples of π."""
    return jnp.mean(jnp.cos(constant(n - 1 - 2 * np.arange(n), r) * r))


def _legendre(degree: int, c: Scalar) -> Scalar:
    before, now = jnp.ones_like(c), c
    for l in range(1, degree):
        before, now = now, ((2 * l + 1) * c * now - l * before) / (l + 1)
    return now


def cells(length: str) -> Iterator[tuple[str, str, Callable[[], Measurement]]]:
    """(data, method, what measures it)."""
    steps = _STEPS[length]
    for space in SPACES:
        yield space, METHOD, functools.partial(in_double, functools.partial(free, space, steps))
    yield DRIFT, METHOD, functools.partial(in_double, functools.partial(drifted, steps))


def sentence(found: Found) -> str:
    """What one sees, with the numbers in it."""
    parts = [
        f"{abs(numbers(found[space, METHOD])['clock, degree 1']):.4f} on {space} "
        f"({found[space, METHOD].values['clock, expected']:.4f})"
        for space in SPACES
    ]
    orders = [
        value
        for space in SPACES
        for name, value in numbers(found[space, METHOD]).items()
        if name.startswith("order")
    ]
    drift = numbers(found[DRIFT, METHOD])
    return (
        f"The geodesic random walk converges weakly with order {min(orders):.3f} to "
        f"{max(orders):.3f} in γ: it is Brownian motion on a clock that runs fast by 1 + cγ with "
        f"c = {', '.join(parts)}, a sixth of the Ricci curvature, for all eigenfunctions alike and "
        f"exactly nothing on S^1; with a drift the order is {drift['order of γ']:.3f}, and "
        f"{drift['order of γ, stationary']:.3f} in the stationary law."
    )


def figure(found: Found) -> Figure:
    """Errors against γ, the clocks, and the walk with a drift."""
    drawn = new_figure(12.0, 3.9)
    errors, clocks, drift = drawn.subplots(1, 3)
    for space, colour in zip(SPACES, COLOURS, strict=True):
        m = found[space, METHOD]
        g = np.asarray(m.more["gamma"])
        for k in range(len(m.more["degrees"])):
            label = space if not k else None
            style = ("-", "--", "-.", ":")[k]
            if m.values["clock, expected"]:
                errors.loglog(g, m.more["errors"][k], style, color=colour, label=label)
            clocks.plot(g, m.more["clocks"][k], style, color=colour, label=label)
        clocks.plot(0.0, m.values["clock, expected"], "*", ms=10, color=colour)
    clocks.plot([], [], "*", ms=8, color="0.4", label="Ric/6")
    for k, style in enumerate(("-", "--", "-.", ":")):
        clocks.plot([], [], style, color="0.4", label=f"degree {_DEGREES[k]}")
    errors.loglog(g, 0.05 * g, color="0.6", lw=3, alpha=0.4, label="slope 1")
    errors.set(xlabel="γ", ylabel="|E f − P_s f| at s = 1")
    clocks.set(xlabel="γ", ylabel="(speed of the walk − 1)/γ", ylim=(-0.05, 0.8))
    end = found[DRIFT, METHOD].more
    drift.loglog(end["gamma"], end["errors"], "o-", color=COLOURS[0], label="s = 1")
    drift.loglog(end["gamma"], end["biases"], "s-", color=COLOURS[1], label="stationary law")
    drift.loglog(g, 0.05 * g, color="0.6", lw=3, alpha=0.4, label="slope 1")
    drift.set(xlabel="γ", ylabel="error of the mean height, with a drift")
    for axes in (errors, clocks, drift):
        axes.grid(color="0.92")
        axes.legend(fontsize=7, ncols=2 if axes is clocks else 1, loc="upper left")
    return drawn
