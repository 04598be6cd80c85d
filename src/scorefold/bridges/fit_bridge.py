"""``fit_bridge``: two sets of samples in, a trained bridge out."""

# No postponed annotations here: abstract methods are recognised on the class itself.
import abc
import dataclasses
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Scalar
from scorefold.bridges._base import Bridge
from scorefold.bridges.arrivals import check_ends
from scorefold.bridges.intake import both_inside, ends_of, require_resolved
from scorefold.bridges.networks.alternate import fit_alternating
from scorefold.bridges.networks.alternate_history import AlternationHistory
from scorefold.bridges.networks.learned import LearnedBridge
from scorefold.bridges.units import Units
from scorefold.fitting import History, NonFiniteLoss, Trainable, batch_rows, fit
from scorefold.noising import Noising

__all__ = ["TwoEnded", "fit_bridge"]

B = TypeVar("B", bound=Bridge)


class TwoEnded(Bridge, Trainable):
    """A bridge that is learned from independent samples of its two ends.

    ``fit`` sees the points of A and B in one array, those of A first; ``sizes`` says how many
    there are of each, for training and for validation, and is set by ``fit_bridge``. Each batch
    takes rows of A and of B in epochs of their own, so that every point counts alike whatever the
    two sizes are.
    """

    sizes: eqx.AbstractVar[tuple[int, int] | None]
    held_sizes: eqx.AbstractVar[tuple[int, int] | None]
    units: eqx.AbstractVar[Units | None]

    @abc.abstractmethod
    def inside(self, units: Units) -> "TwoEnded":
        """The description in coordinates of its own: of Y in ``Units``."""

    @abc.abstractmethod
    def outside(self, units: Units, reference: Noising) -> "TwoEnded":
        """The fitted bridge in coordinates of its own as a bridge over ``reference``."""

    @abc.abstractmethod
    def begin(self, key: Key, a: Array, b: Array) -> "TwoEnded":
        """A copy with parameters for these points of A and B."""

    @abc.abstractmethod
    def losses(self, a: Array, b: Array, key: Key) -> Array:
        """Losses of n pairs of independent points of the ends, shape ``(n,)``."""

    @abc.abstractmethod
    def held_out_loss(self, a: Array, b: Array, key: Key) -> Scalar:
        """What model choice minimises, for held-out points; the two numbers may differ."""

    @abc.abstractmethod
    def settled(self, key: Key, a: Array, b: Array, val: tuple[Array, Array] | None) -> "TwoEnded":
        """What remains to be done once the parameters are final."""

    # -- what ``fit`` asks -----------------------------------------------------------------------
    def init(self, key: Key, data: Array) -> "TwoEnded":
        n, _ = _known(self.sizes)
        return self.begin(key, data[:n], data[n:])

    def batch_rows(self, key: Key, step: Array, n: int, size: int) -> Array:
        """Rows of pairs, shape ``(size, 2)``: one of A, one of B."""
        first, second = _known(self.sizes)
        of_a, of_b = jax.random.split(key)
        rows_a = batch_rows(of_a, step, first, size)
        rows_b = batch_rows(of_b, step, second, size)
        return jnp.stack([rows_a, first + rows_b], axis=1)

    def batch_loss(self, x: Array, key: Key) -> Array:
        return self.losses(x[:, 0], x[:, 1], key)

    def validate(self, x: Array, key: Key) -> Scalar:
        n, _ = _known(self.held_sizes)
        return self.held_out_loss(x[:n], x[n:], key)


def fit_bridge(
    bridge: B,
    a: Any,
    b: Any,
    *,
    key: Key,
    val: Any = None,
    check: bool = True,
    **settings: Any,
) -> tuple[B, History | AlternationHistory]:
    """Train a bridge from samples of law A to samples of law B; returns it and what happened.

    **Arguments:**

    - ``bridge``: a ``LightBridge``, or any ``TwoEnded``; ``BridgeMatching`` and
      ``DiffusionSchrodingerBridge`` go to ``fit_alternating``, whose settings and history they
      have. The reference process is fixed.
    - ``a``, ``b``: points of the manifold of the bridge, shapes ``(n, *shape)`` and
      ``(m, *shape)``: arrays, lists or frames. Floating-point arrays must have one dtype, which
      training keeps. n and m may differ: nothing pairs the rows. Flat coordinates are centred, each
      end by its own mean, and scaled, in float64 (``Units``): no distance and no unit is too large.
    - ``val``: a pair, held-out points ``(a, b)`` of both ends, by which the best parameters are
      chosen.
    - ``check``: afterwards carry points of both ends to the other, and warn if they do not arrive.
    - ``key`` and ``settings``: those of ``fit`` (steps or budget, batch_size, learning_rate,
      out, resume, …).

    **Raises:** ``ValueError`` naming the argument and the rows for points that are not on the
    manifold, not finite or fewer than 2, and for two dtypes; and what ``fit`` raises, with rows
    numbered in ``a``, then on in ``b``.
    **Warns:** ``ScorefoldWarning`` with the size of the miss, where drawn ends differ from
    held-out ones (from those of training, without ``val``) beyond chance.
    """
    if isinstance(bridge, LearnedBridge):
        return fit_alternating(bridge, a, b, key=key, val=val, check=check, **settings)
    if not isinstance(bridge, TwoEnded):
        raise TypeError(
            f"bridge: a {type(bridge).__name__} has nothing to train; give a LightBridge, "
            "BridgeMatching or DiffusionSchrodingerBridge."
        )
    ends = ends_of(bridge.manifold, a, b, ("a", "b"))
    held = None
    if val is not None:
        if not (isinstance(val, tuple | list) and len(val) == 2):
            raise ValueError("val: give a pair, held-out points of A and held-out points of B.")
        first, last = val
        held = ends_of(bridge.manifold, first, last, ("val[0]", "val[1]"), ends[0].dtype)
    units = Units.of(bridge.reference, *(end.rows for end in ends))
    own = bridge if units is None else bridge.inside(units)
    require_resolved(own.reference, ends[0].dtype)
    a, b = both_inside(bridge.manifold, ends, units)
    within = None if held is None else both_inside(bridge.manifold, held, units)
    known = _with_sizes(
        own, (len(a), len(b)), None if within is None else (len(within[0]), len(within[1]))
    )
    data = jnp.concatenate([a, b])
    both = None if within is None else jnp.concatenate(within)
    try:
        fitted, history = fit(known, data, key=key, val=both, **settings)
    except NonFiniteLoss as error:
        raise NonFiniteLoss(
            f"{error} (Rows below {len(a)} are rows of a; subtract {len(a)} from the others for "
            "rows of b.)",
            step=error.step,
            rows=error.rows,
        ) from error
    done = fitted.settled(jax.random.fold_in(key, 11), a, b, within)
    done = _with_sizes(done, None, None)
    if check:
        check_ends(done, jax.random.fold_in(key, 12), a, b, within)
    if units is None:
        return done, history
    apart = [None if pair is None else units.loss_apart(bridge.reference, *(e.rows for e in pair))
             for pair in (ends, held)]  # fmt: skip
    history = dataclasses.replace(
        history,
        loss=history.loss + apart[0],
        val_nll=history.val_nll if apart[1] is None else history.val_nll + apart[1],
    )
    return done.outside(units, bridge.reference), history


def _with_sizes(bridge: Any, sizes: Any, held: Any) -> Any:
    return eqx.tree_at(lambda m: (m.sizes, m.held_sizes), bridge, (sizes, held), is_leaf=_is_sizes)


def _is_sizes(node: Any) -> bool:
    return node is None or (isinstance(node, tuple) and all(type(n) is int for n in node))


def _known(sizes: tuple[int, int] | None) -> tuple[int, int]:
    if sizes is None:
        raise ValueError("A bridge is trained by fit_bridge(bridge, a, b, key=…), not by fit.")
    return sizes
