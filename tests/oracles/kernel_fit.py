"""A law of known density that a kernel model must come close to."""

import jax
import jax.numpy as jnp
import numpy as np

import scorefold as sf
from scorefold.data import HeatMixture


def check_fit(manifold, folder):
    """Heat kernels of variance 0.02 around two centres: the least possible NLL is that of the law,
    and 300 points with 8 hidden units come within 0.12 nats a dimension of it (measured: 0.02 to
    0.09); the saved model is the same model."""
    origin = manifold.origin(jnp.float64)
    direction = manifold.frame(origin)[0]
    centres = jnp.stack([origin, manifold.exp(origin, 1.2 * direction)])
    law = HeatMixture(manifold, centres, 0.02)
    points = law.sample(jax.random.key(1), 600)
    train, val, test = points[:300], points[300:400], points[400:]
    model, history = sf.fit(
        sf.KernelModel(manifold, width=8), train, val=val, key=jax.random.key(0), steps=60,
        progress=False,
    )  # fmt: skip
    nll, best = -float(model.log_prob(test).mean()), -float(law.log_prob(test).mean())
    assert history.best_step > 0
    assert best - 0.05 < nll < best + 0.12 * manifold.dim
    sf.save(folder / "m.safetensors", model)
    np.testing.assert_array_equal(
        sf.load(folder / "m.safetensors").log_prob(test), model.log_prob(test)
    )
    draws = model.sample(jax.random.key(2), 500)
    # Draws spread as the kernels do: half of them are at least as likely under the truth as three
    # quarters of its own points (500 draws: ±0.05 in the share).
    quarter = np.quantile(np.asarray(law.log_prob(test)), 0.25)
    assert np.mean(np.asarray(law.log_prob(draws)) > quarter) > 0.5
