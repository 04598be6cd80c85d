"""A flow and its divergence by an adaptive Runge–Kutta method."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.manifolds import Manifold
from scorefold.samplers.chunks import Limits
from scorefold.samplers.flow import Flow

_FIRST_STEP = 0.03
"""First trial step, as a share of the whole interval of the clock."""


class Flowed(NamedTuple):
    """n points carried by the flow."""

    end: Array
    """Shape ``(n, *shape)``."""
    total: Array
    """∫ div v ds, ``(n,)``; zeros where it was not asked for."""
    nfe: Array
    """Evaluations of the velocity."""
    finished: Array
    """Whether the end was reached."""


def solve_adaptively(
    flow: Flow,
    x: Array,
    start: float | Scalar,
    end: float | Scalar,
    limits: Limits,
    *,
    divergence: bool = True,
    probe_keys: Array | None = None,
) -> Flowed:
    """Points x, shape ``(n, *shape)``, carried by ``flow`` from the variance-time ``start`` to
    ``end``, up or down, by Dopri5 with a controller. The points share their steps.

    **Arguments:** ``divergence``: whether ∫ div v ds is wanted; ``probe_keys``: with a key for
    each point it is Hutchinson's estimate, along one random direction a point.
    """
    ends = flow.clock.tau(start, x.dtype), flow.clock.tau(end, x.dtype)
    # As arrays, so that one program serves every tolerance and span.
    tolerances = jnp.asarray(limits.rtol, x.dtype), jnp.asarray(limits.atol, x.dtype)
    return _solve(flow, x, ends, tolerances, limits.max_steps, divergence, probe_keys)


@eqx.filter_jit
def _solve(
    flow: Flow,
    x: Array,
    ends: tuple[Scalar, Scalar],
    tolerances: tuple[Scalar, Scalar],
    max_steps: int,
    divergence: bool,
    probe_keys: Array | None,
) -> Flowed:
    import diffrax

    manifold, (rtol, atol) = flow.manifold, tolerances
    probes = None if probe_keys is None else _probes(manifold, probe_keys, x)

    def rate(tau: ScalarLike, state: tuple[Array, Array], args: None) -> tuple[Array, Array]:
        s, ds = flow.clock.s(jnp.asarray(tau))
        velocity = lambda y: flow.velocity(y, s)  # noqa: E731
        both = lambda y: flow.velocity_and_divergence(y, s)  # noqa: E731
        # The field is continued off the manifold by v ∘ project: the manifold is invariant under
        # the flow, and a Runge–Kutta method keeps its order.
        y = jax.vmap(manifold.project)(state[0])
        if not divergence:
            v, div = jax.vmap(velocity)(y), jnp.zeros_like(state[1])
        elif probes is None:
            v, div = jax.vmap(both)(y)
        else:
            v, div = jax.vmap(lambda *a: _probed(velocity, manifold, *a))(y, x, probes)
        return ds * v, ds * div

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rate),
        diffrax.Dopri5(),
        *ends,
        _FIRST_STEP * (ends[1] - ends[0]),
        (x, jnp.zeros(len(x), x.dtype)),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol, norm=_rms),
        max_steps=max_steps,
        throw=False,
    )
    end, total = jax.tree.map(lambda leaf: leaf[-1], solution.ys)
    # First-same-as-last: six new stages a step, one at the start.
    nfe = 6 * solution.stats["num_steps"] + 1
    finished = solution.result == diffrax.RESULTS.successful
    return Flowed(jax.vmap(manifold.project)(end), total, nfe, finished)


def _rms(error: tuple[Array, Array]) -> Scalar:
    """RMS over points and components; points no longer finite are left out, and named later."""
    flat = jnp.concatenate([error[0].reshape(len(error[0]), -1), error[1][:, None]], axis=1)
    each = jnp.mean(flat * flat, axis=1)
    finite = jnp.isfinite(each)
    total = jnp.sum(jnp.where(finite, each, jnp.zeros_like(each)))
    return jnp.sqrt(total / jnp.maximum(jnp.sum(finite), 1).astype(each.dtype))


def _probes(manifold: Manifold, keys: Array, x: Array) -> Array:
    """A tangent vector of components ±1 at each point."""

    def one(key: Key, p: Point) -> Point:
        signs = jax.random.rademacher(key, (manifold.dim,), p.dtype)
        return manifold.from_components(p, signs)

    return jax.vmap(one)(keys, x)


def _probed(
    velocity: Callable[[Point], Point], manifold: Manifold, y: Point, origin: Point, probe: Point
) -> tuple[Point, Scalar]:
    """(v(y), ⟨∇_ε v, ε⟩), ε the probe at ``origin`` moved to y by parallel transport: an isometry,
    so unbiased at every y, and smooth along the path, as a frame's components would not be."""
    e = manifold.transport(origin, y, probe)
    value, along = jax.jvp(velocity, (y,), (e,))
    return value, manifold.covariant(y, value, e, along, e)
