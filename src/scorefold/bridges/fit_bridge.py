"""``fit_bridge``: two sets of samples in, a fitted bridge out."""

from typing import Any, TypeVar

import jax

from scorefold._blocks import typed_key
from scorefold._types import Key, Values
from scorefold.bridges.alternate_history import AlternationHistory
from scorefold.bridges.arrivals import check_ends
from scorefold.bridges.description import BridgeDescription, FittedBridge
from scorefold.bridges.intake import Samples, repeated
from scorefold.fitting import History

F = TypeVar("F", bound=FittedBridge)


def fit_bridge(
    description: BridgeDescription[F],
    a: Values,
    b: Values,
    *,
    key: Key,
    val: object = None,
    weights: tuple[Values | None, Values | None] | None = None,
    val_weights: tuple[Values | None, Values | None] | None = None,
    check: bool = True,
    **settings: Any,
) -> tuple[F, History | AlternationHistory]:
    """The bridge learned from samples of law A and samples of law B, and what happened.

    **Arguments:**

    - ``description``: what is to be learned: a ``LightBridge``, ``BridgeMatching`` or
      ``DiffusionSchrodingerBridge``. The reference process is fixed.
    - ``a``, ``b``: points of the manifold of the bridge, shapes ``(n, *shape)`` and
      ``(m, *shape)``: arrays, lists or frames. Floating-point arrays must have one dtype, which
      training keeps. n and m may differ: nothing pairs the rows. Flat coordinates are centred, each
      end by its own mean, and scaled, in float64 (``BridgeUnits``): any distance, any unit.
    - ``val``: a pair, held-out points ``(a, b)`` of both ends, by which the best parameters are
      chosen, or on which half-steps are measured.
    - ``weights``, ``val_weights``: pairs, numbers ≥ 0 for the rows of a and of b (None: all alike).
      Rows are repeated in proportion to their weights (systematically, 8 times as many rows in
      all, up to 8192), and so drawn, measured and counted.
    - ``check``: afterwards carry points of both ends to the other, and warn if they do not arrive.
    - ``key`` and ``settings``: those of the description's ``train``: of ``fit`` for a
      ``LightBridge`` (steps or budget, batch_size, learning_rate, out, resume, …), of
      half-steps for bridges of networks (half_steps, steps, paths, …). The history is that of the
      kind of training, a ``History`` or an ``AlternationHistory``.

    **Raises:** ``ValueError`` naming the argument and the rows for points that are not on the
    manifold, not finite or fewer than 2 (4 for networks), and for two dtypes; and what training
    raises, with rows numbered in ``a``, then on in ``b``.
    **Warns:** ``ScorefoldWarning`` with the size of the miss, where drawn ends differ from
    held-out ones (from those of training, without ``val``) beyond chance.
    """
    if not isinstance(description, BridgeDescription):
        raise TypeError(
            f"description: a {type(description).__name__} has nothing to train; give a "
            "LightBridge, BridgeMatching or DiffusionSchrodingerBridge."
        )
    for name, pair in (("weights", weights), ("val_weights", val_weights)):
        if pair is not None and not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise ValueError(f"{name}: give a pair, weights of the rows of A and of B.")
    if weights is not None:
        a, b = repeated("a", a, weights[0]), repeated("b", b, weights[1])
    if val_weights is not None:
        if not (isinstance(val, tuple | list) and len(val) == 2):
            raise ValueError("val_weights: there are no held-out points; give val as well.")
        names = ("val[0]", "val[1]")
        val = tuple(map(repeated, names, val, val_weights))
    samples = Samples.of(description.reference, a, b, val, description.least)
    key = typed_key(key)
    units = samples.units
    inner = description if units is None else description.inside(units)
    bridge, history = inner.train(samples, key=key, **settings)
    if check:
        check_ends(bridge, jax.random.fold_in(key, 12), *samples.ends, samples.held)
    return bridge if units is None else bridge.outside(units, description.reference), history
