"""The kernel model from 1000 points: held-out likelihood against the isotropic kernel density.

The bars are those of a prototype with the same network: 2.4 nats on the six-dimensional swiss
roll (the law has 1.44, round kernels 5.2 to 5.7), 0.385 on the moons (0.29).
"""

import jax
import jax.numpy as jnp
import pytest

from scorefold.data.laws import flat
from scorefold.fitting import fit
from scorefold.models import GaussianKernelModel


@pytest.mark.parametrize(
    "law, bar",
    [
        pytest.param(flat.swissroll_6d(), 2.4, id="swiss"),
        pytest.param(
            flat.moons(0.05),
            0.385,
            id="moons",
            marks=pytest.mark.xfail(strict=True, reason="0.393 measured: the bar is not reached"),
        ),
    ],
)
def test_held_out_likelihood(law, bar):
    """900 points train, 100 choose the step, all 1000 are centres, 4000 fresh points judge; the
    mean over three draws of the data."""
    test = law.sample(jax.random.key(999), 4000)
    total = 0.0
    for seed in range(3):
        x = law.sample(jax.random.key(100 + seed), 1000)
        model, _ = fit(
            GaussianKernelModel(law.manifold), x[:900], val=x[900:], key=jax.random.key(seed),
            steps=400, batch_size=256, validate_every=25, progress=False,
        )  # fmt: skip
        total += float(-jnp.mean(model.with_centres(x).log_prob(test)))
    assert total / 3 < bar
