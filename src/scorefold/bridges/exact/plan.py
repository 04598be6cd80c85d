"""The plan of an entropic transport."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from scorefold._blocks import in_blocks, pairs_together
from scorefold._matmul import matmul
from scorefold._types import Key, Scalar, Values
from scorefold.bridges.exact.costs import Costs, PointCosts


class Transport(eqx.Module):
    """The plan that solves, for a cost C of shape (n, m) and weights a, b of total 1,

        min over P with marginals a, b of ⟨C, P⟩ + ε KL(P ‖ a ⊗ b),
        P_ij = a_i b_j e^{(f_i + g_j − C_ij)/ε}.

    ``error`` is the L¹ distance of both marginals of P from a and b, as P comes out in its dtype;
    ``converged`` says whether it is at most the tolerance. Arrays of n × m numbers (``costs``,
    ``log_plan``, ``log_conditional``) are made when asked for; the rest is computed row by row
    where the costs are no matrix (``PointCosts``).

    What a cost has in x alone and in y alone moves f and g and no plan. ``transport`` keeps such
    parts apart, ``alone`` = (u, v) with C_ij = R_ij + u_i + v_j, so that they take no digits from
    what is left, R: far apart clouds have the plan of near ones. ``given`` is R as it is kept,
    ``rest`` as a matrix.

    Source: Cuturi 2013; Peyré & Cuturi 2019, Section 4.
    """

    given: Costs
    log_a: Float[Array, " n"]
    log_b: Float[Array, " m"]
    rest_f: Float[Array, " n"]
    rest_g: Float[Array, " m"]
    alone: tuple[Float[Array, " n"], Float[Array, " m"]]
    epsilon: Scalar
    error: Scalar
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]

    @property
    def rest(self) -> Array:
        """R, shape (n, m)."""
        return self.given.matrix() if isinstance(self.given, PointCosts) else self.given

    @property
    def costs(self) -> Array:
        """C, shape (n, m)."""
        return self.rest + (self.alone[0][:, None] + self.alone[1][None, :])

    @property
    def f(self) -> Array:
        """f, shape (n,)."""
        return self.rest_f + self.alone[0]

    @property
    def g(self) -> Array:
        """g, shape (m,)."""
        return self.rest_g + self.alone[1]

    @property
    def log_plan(self) -> Array:
        """log P, shape (n, m)."""
        return _by_row(self, "_log_plan_row")

    @property
    def log_conditional(self) -> Array:
        """log P(j | i), each row a law on the m targets, shape (n, m)."""
        return _by_row(self, "_log_conditional_row")

    @property
    def cost(self) -> Scalar:
        """⟨C, P⟩."""
        return jnp.sum(_by_row(self, "_cost_row")) + self._means(*self.alone)

    @property
    def entropy(self) -> Scalar:
        """KL(P ‖ a ⊗ b) in nats, ≥ 0: the mutual information of the two ends."""
        return jnp.sum(_by_row(self, "_entropy_row"))

    @property
    def value(self) -> Scalar:
        """⟨a, f⟩ + ⟨b, g⟩ − ε(ΣP − 1), the dual objective: a lower bound of the minimum, equal to
        ⟨C, P⟩ + ε KL once converged. Its derivative in ``costs`` is P."""
        # ΣP − Σ a ⊗ b, which large ε leaves many digits of.
        return self._means(self.f, self.g) - self.epsilon * jnp.sum(_by_row(self, "_excess_row"))

    def sample_targets(self, key: Key, rows: Values) -> Array:
        """For each source index in ``rows`` one target index drawn from P(j | i)."""
        rows = jnp.asarray(rows)
        if not isinstance(self.given, PointCosts):
            scores = jax.vmap(self._log_conditional_row)(rows.ravel(), self.given[rows.ravel()])
            return jax.random.categorical(key, scores.reshape(*rows.shape, -1), axis=-1)
        return _targets(self, rows, jax.random.split(key, rows.size)).reshape(rows.shape)

    def sample_pairs(self, key: Key, n: int) -> tuple[Array, Array]:
        """n pairs of indices (i, j) drawn from P."""
        first, second = jax.random.split(key)
        rows = jax.random.categorical(first, self.log_a, shape=(n,))
        return rows, self.sample_targets(second, rows)

    def barycentre(self, targets: Values) -> Array:
        """Σ_j P(j | i) y_j for ``targets`` y on flat space, shape (m, d): the conditional mean of
        the target given each source, shape (n, d)."""
        return _barycentre(self, jnp.asarray(targets, self.log_a.dtype))

    def _means(self, u: Array, v: Array) -> Scalar:
        """⟨a, u⟩ + ⟨b, v⟩ with 0·u = 0 whatever u is."""
        pairs = ((self.log_a, u), (self.log_b, v))
        first, last = (jnp.sum(jnp.where(jnp.isneginf(w), 0.0, jnp.exp(w) * p)) for w, p in pairs)
        return first + last

    # Of row i, R_i· given:
    def _log_density_row(self, i: Array, row: Array) -> Array:
        return (self.rest_f[i] + self.rest_g - row) / self.epsilon

    def _log_plan_row(self, i: Array, row: Array) -> Array:
        return self.log_a[i] + self.log_b + self._log_density_row(i, row)

    def _log_conditional_row(self, i: Array, row: Array) -> Array:
        return jax.nn.log_softmax(self.log_b + (self.rest_g - row) / self.epsilon)

    def _cost_row(self, i: Array, row: Array) -> Scalar:
        return jnp.sum(jnp.exp(self._log_plan_row(i, row)) * row)

    def _entropy_row(self, i: Array, row: Array) -> Scalar:
        return jnp.sum(jnp.exp(self._log_plan_row(i, row)) * self._log_density_row(i, row))

    def _excess_row(self, i: Array, row: Array) -> Scalar:
        """Σ_j P_ij − a_i b_j."""
        prior = jnp.exp(self.log_a[i] + self.log_b)
        density = jnp.where(prior > 0, self._log_density_row(i, row), 0.0)
        return jnp.sum(prior * jnp.expm1(density))


@eqx.filter_jit
def _by_row(plan: Transport, name: str) -> Array:
    """What the method ``name`` says of every row."""
    function = getattr(plan, name)
    if isinstance(plan.given, PointCosts):
        return plan.given.by_row(function)
    return jax.vmap(function)(jnp.arange(len(plan.log_a)), plan.given)


@eqx.filter_jit
def _barycentre(plan: Transport, points: Array) -> Array:
    def one(i: Array, row: Array) -> Array:
        shares = jnp.exp(plan._log_conditional_row(i, row))
        return matmul(shares, points)

    if isinstance(plan.given, PointCosts):
        return plan.given.by_row(one)
    return matmul(jnp.exp(plan.log_conditional), points)


@eqx.filter_jit
def _targets(plan: Transport, rows: Array, keys: Array) -> Array:
    """A target for each of the rows, with a key each."""
    costs, flat = plan.given, rows.ravel()
    assert isinstance(costs, PointCosts)

    def one(k: Array) -> Array:
        row = costs.row(flat[k])
        return jax.random.categorical(keys[k], plan._log_conditional_row(flat[k], row))

    return in_blocks(one, jnp.arange(len(flat)), max(1, pairs_together() // costs.shape[1]))
