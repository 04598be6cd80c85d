"""Objectives of a learned mixture: likelihood and implicit score matching of held-out points."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from scorefold._blocks import is_traced, listed
from scorefold.kernels.bandwidth import same_points
from scorefold.kernels.gaussian.mixture import GaussianMixture


def left_out_masks(rows: Int[Array, " m"], n: int) -> Bool[Array, "m n"]:
    """The mask that leaves kernel ``rows[j]`` out for point j, row ``rows[j]`` of n centres."""
    return rows[:, None] == jnp.arange(n, dtype=rows.dtype)[None]


def held_out_nll(
    build: Callable[[], GaussianMixture],
    x: Float[Array, "m d"],
    omitted: Bool[Array, "m n"] | None = None,
) -> Float[Array, " m"]:
    """−log π(x_j) in nats, π the mixture of ``build()`` without the kernels ``omitted[j]``.

    **Arguments:** ``build``: makes the mixture, so that gradients reach what it is made of;
    ``omitted``: ``left_out_masks(rows, n)`` where points are centres; None for points that are not.
    **Raises:** ``ValueError`` for points that are centres and are not masked.
    """
    return _each(build, x, omitted, lambda law, y: -law.log_prob(y))


def held_out_implicit(
    build: Callable[[], GaussianMixture],
    x: Float[Array, "m d"],
    omitted: Bool[Array, "m n"] | None = None,
) -> Float[Array, " m"]:
    """½|∇ log π|² + Δ log π at x_j, π without the kernels ``omitted[j]``: the terminal condition
    of the Hamilton–Jacobi equation as a loss. Arguments and errors of ``held_out_nll``."""
    return _each(build, x, omitted, lambda law, y: law.implicit_score_matching(y))


def refuse_centres(x: Array, centres: Array) -> None:
    """Refuse points that are themselves centres.

    **Raises:** ``ValueError`` naming the rows. (Inside ``jit`` the numbers are not known, and
    nothing is checked.)
    """
    if is_traced((x, centres)) or x.shape[1:] != centres.shape[1:] or x.dtype != centres.dtype:
        return
    (rows,) = np.nonzero(np.asarray(same_points(x, centres)).any(axis=1))
    if len(rows):
        shown = listed(rows, 5)
        raise ValueError(
            f"x: {len(rows)} of {len(x)} points (rows {shown}) are centres of the mixture. The "
            "loss is then unbounded below: each kernel shrinks onto its own centre, and a "
            "precision a times larger makes the loss about a times smaller. Pass "
            "omitted=left_out_masks(rows, n), or points that are not centres."
        )


def _each(build: Callable, x: Array, omitted: Array | None, loss: Callable) -> Array:
    law = build()
    if omitted is None:
        refuse_centres(x, law.centres)
        return jax.vmap(lambda y: loss(law, y))(x)
    return jax.vmap(lambda y, mask: loss(law.without(mask), y))(x, omitted)
