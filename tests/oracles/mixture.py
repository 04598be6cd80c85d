"""A mixture of heat kernels: at every noise level its density and score are closed form."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scorefold.noising import Reference


class Mixture(eqx.Module):
    """Σ_k w_k δ_{c_k} noised to level s; calling it gives the score."""

    noising: eqx.Module
    centres: jax.Array
    weights: tuple = (0.2, 0.5, 0.3)

    def _terms(self, x, s):
        log_w = jnp.asarray(np.log(self.weights), x.dtype)
        return log_w + jax.vmap(lambda c: self.noising.log_prob(x, c.astype(x.dtype), s))(
            self.centres
        )

    def log_prob(self, x, s):
        return jax.nn.logsumexp(self._terms(x, s))

    def __call__(self, x, s):
        w = jax.nn.softmax(self._terms(x, s))
        scores = jax.vmap(lambda c: self.noising.score(x, c.astype(x.dtype), s))(self.centres)
        return jnp.tensordot(w, scores, axes=1)

    def sample(self, key, s, dtype):
        pick, draw = jax.random.split(key)
        k = jax.random.choice(pick, 3, p=jnp.asarray(self.weights, dtype))
        return self.noising.sample(draw, self.centres[k].astype(dtype), jnp.asarray(s, dtype))


class MixtureReference(Reference):
    """The law of the mixture at one level: the exact reference of a process without limit law."""

    mixture: Mixture
    level: float

    def log_prob(self, x):
        return self.mixture.log_prob(x, jnp.asarray(self.level, x.dtype))

    def score(self, x):
        return self.mixture(x, jnp.asarray(self.level, x.dtype))

    def sample(self, key, dtype=None):
        return self.mixture.sample(key, self.level, dtype or jnp.result_type(float))


def mixture(noising, spread=1.0):
    """Three centres, drawn once and for all: a normal step of size ``spread`` from the origin."""
    m = noising.manifold
    x0 = m.origin(jnp.float64)
    keys = jax.random.split(jax.random.key(7), 3)
    return Mixture(noising, jax.vmap(lambda k: m.exp(x0, spread * m.normal(k, x0)))(keys))
