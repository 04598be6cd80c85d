"""Flows by closed forms: densities along known fields, the field that flow matching learns between
normal laws, likelihood as it is trained, and steps along geodesics."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.edge_models import SMALL, SPACES, points

import scorefold as sf
from scorefold.fields import TangentField, VelocityField
from scorefold.manifolds import Manifold
from scorefold.models import ContinuousFlow, FlowMatching
from scorefold.noising import HeatReference, UniformReference, WrappedNormal
from scorefold.samplers import EulerStep, PathFlow, walk
from scorefold.samplers.flow_density import flow_density

KEY = jax.random.key(0)


class Field(TangentField):
    """A function of (x, t) as a field."""

    manifold: Manifold
    function: object = eqx.field(static=True)

    def __call__(self, x, t):
        return self.function(x, t)


def to_the_pole(x, t):
    """∇ cos θ on S²: towards the first axis along meridians, with θ' = −sin θ."""
    axis = jnp.zeros_like(x).at[0].set(1.0)
    return axis - x[0] * x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["multistep", "adaptive"])
def test_density_along_a_known_flow_of_the_sphere(dtype, solver):
    """θ' = −sin θ has tan(θ/2)(t) = tan(θ/2) e^{−t}: the area sin θ dθ of what is uniform at t = 1
    was dμ₁ of μ = cos θ, and dμ₁/dμ = (1 − μ₁²)/(1 − μ²) as dμ/dt = 1 − μ²."""
    m, low = sf.Sphere(2), 1e-2
    x = np.asarray(jax.vmap(m.uniform)(jax.random.split(KEY, 20))).astype(dtype)
    found = flow_density(
        PathFlow(Field(m, to_the_pole)), UniformReference(m), x, low**2, 1.0, rtol=3e-6,
        atol=3e-6, solver=solver,
    )  # fmt: skip
    mu = x[:, 0].astype(np.float64)
    later = np.tanh(np.arctanh(mu) + 1.0 - low)
    exact = -np.log(4 * np.pi) + np.log((1 - later**2) / (1 - mu**2))
    assert found.log_prob.dtype == dtype
    np.testing.assert_allclose(found.log_prob, exact, atol=2e-4)
    assert (np.asarray(found.nfe) > 5).all()


def test_flow_matching_learns_the_velocity_between_normal_laws():
    """x_0 ~ N(0, τ²) and x_1 ~ N(0, 1) apart: v(x, t) = x (t − (1 − t)τ²)/((1 − t)²τ² + t²). The
    loss of v is smaller than that of fields beside it, by the squared distance: exactly in the
    mean, within four errors of the mean of 20,000 draws."""
    m, tau, n = sf.Euclidean(1), 0.5, 20_000
    x = tau * jax.random.normal(jax.random.key(1), (n, 1))
    description = FlowMatching(m, reference=WrappedNormal(m), network=SMALL, t_min=1e-3)
    trainer = description.trainer(KEY, np.asarray(x))
    units = trainer.units
    z = jnp.asarray(units.inward(np.asarray(x)))
    scale = float(units.scale[0])
    own = (tau / scale) ** 2

    def inner(z, t):
        return z * (t - (1 - t) * own) / ((1 - t) ** 2 * own + t**2)

    losses = {}
    for bent in (0.0, 0.2):
        field = Field(m, lambda x, t, b=bent: inner(x, t) + b * jnp.cos(x))
        at = eqx.tree_at(lambda k: k.field, trainer, field)
        losses[bent] = np.asarray(at.batch_loss(z, jax.random.key(2)), np.float64)
    # E (b cos x_t)² over the times of training and the laws on the way.
    gap = losses[0.2] - losses[0.0]
    t = np.asarray(jax.random.uniform(jax.random.key(3), (n,)))
    t = np.where(np.arange(n) % 2 == 0, 1e-3 + (1 - 1e-3) * t, 1e-3 ** (1 - t))
    deviation = np.sqrt((1 - t) ** 2 * own + t**2)
    want = 0.04 * np.mean(0.5 * (1 + np.exp(-2 * deviation**2)))
    error = gap.std() / np.sqrt(n)
    assert abs(gap.mean() - want) < 4 * error and error < 0.3 * want


def steered(description, x):
    """A fitted flow whose network was never trained, with outputs of order 1."""
    trainer = description.trainer(KEY, x)
    big = lambda layers: 8.0 * layers[-1].weight  # noqa: E731
    where = lambda k: k.field.network.layers[-1].weight  # noqa: E731
    trainer = eqx.tree_at(where, trainer, big(trainer.field.network.layers))
    return trainer, trainer.model(trainer.examples(x), None)


@pytest.mark.parametrize("name", ["R^2", "S^2", "SO(3)", "H^2"])
def test_what_a_continuous_flow_minimises_is_its_nll(name):
    """The Runge–Kutta steps of training against the solver with error control."""
    m = SPACES[name]
    x = points(m, 6)
    trainer, model = steered(ContinuousFlow(m, network=SMALL, train_steps=16), x)
    loss = trainer.batch_loss(trainer.examples(x), KEY)
    np.testing.assert_allclose(loss, -np.asarray(model.log_prob(x)), atol=2e-3)


@pytest.mark.parametrize("name", list(SPACES))
def test_ambient_and_riemannian_divergence_agree(name):
    """The field is the same off the manifold, x being projected first: otherwise −2⟨x, v⟩ with the
    normal part of v, which nothing trains, would be part of the divergence."""
    m = SPACES[name]
    x = jnp.asarray(np.asarray(points(m, 1)))
    trainer, _ = steered(FlowMatching(m, network=SMALL), np.asarray(points(m, 6)))
    z = trainer.examples(np.asarray(x))[0]
    off = z * 1.01 if name in ("S^2", "SO(3)") else z
    t = jnp.asarray(0.3, z.dtype)
    np.testing.assert_allclose(trainer.field(off, t), trainer.field(z, t), atol=1e-12)
    value, div = sf.fields.value_and_divergence(lambda p: trainer.field(p, t), m, z)
    whole = jax.jacfwd(lambda p: trainer.field(p, t))(z).reshape(z.size, z.size)
    if name in ("S^2", "R^2", "T^2", "SO(3)"):
        np.testing.assert_allclose(jnp.trace(whole), div, atol=1e-10)
    assert np.isfinite(value).all()


@pytest.mark.parametrize("name", ["R^2", "S^2", "T^2", "SO(3)", "H^2"])
def test_one_step_along_a_geodesic_arrives(name):
    """The velocity of geodesics from one point, v(x, t) = −log_x(x_0)/t: Euler's step from t = 1 to
    0 ends at x_0 from wherever it starts."""
    m = SPACES[name]
    goal = m.origin(jnp.float64)
    step = EulerStep(Field(m, lambda x, t: -m.log(x, goal) / t))
    v = 0.5 * jax.random.normal(KEY, (8, m.dim))
    starts = jax.vmap(lambda c: m.exp(goal, m.from_components(goal, c)))(v)
    for grid in ([1.0, 0.0], [1.0, 0.3, 0.0]):
        run = jax.jit(jax.vmap(lambda x, g=grid: walk(step, KEY, x, jnp.asarray(g))))
        ends = run(starts)
        np.testing.assert_allclose(ends, jnp.broadcast_to(goal, ends.shape), atol=1e-10)


@pytest.fixture(scope="module")
def on_the_sphere():
    """Two caps, 2000 draws, 300 steps."""
    m = sf.Sphere(2)
    law = sf.data.HeatMixture(m, np.array([[1.0, 0, 0], [0, 0.6, 0.8]]), s=[0.05, 0.2])
    x = np.asarray(law.sample(jax.random.key(1), 2400))
    network = sf.NetworkSpec(width=64, depth=2, fourier=16, frequency=2.0)
    model, history = sf.fit(
        FlowMatching(m, network=network), x[:2000], val=x[2000:], key=KEY, steps=600,
        batch_size=256, learning_rate=3e-3, progress=False,
    )  # fmt: skip
    return law, model, history


def test_flow_matching_learns_a_law_of_the_sphere(on_the_sphere):
    """NLL of 4000 fresh points within 0.06 nats of the truth; the mass is 1 for any flow."""
    law, model, _ = on_the_sphere
    fresh = np.asarray(law.sample(jax.random.key(5), 4000))
    gap = np.asarray(law.log_prob(fresh)) - np.asarray(model.log_prob(fresh))
    assert -0.02 < gap.mean() < 0.06
    mass = sf.density_mass(model.log_prob, model.manifold, n=4000)
    assert abs(mass.value - 1) < max(1e-3, 2 * mass.error)


def test_draws_of_a_flow_have_its_density(on_the_sphere):
    """The height x₃ of 4000 draws, in 10 bins, against the density integrated over longitude by
    the product rule: χ² with 9 degrees of freedom below its 99.9 % quantile, 27.9."""
    _, model, _ = on_the_sphere
    x = np.asarray(model.sample(jax.random.key(7), 4000))
    nodes, _ = np.polynomial.legendre.leggauss(40)
    angle = np.arange(64) * 2 * np.pi / 64
    ring = np.sqrt(1 - nodes**2)
    grid = np.stack([
        ring[:, None] * np.cos(angle), ring[:, None] * np.sin(angle),
        np.broadcast_to(nodes[:, None], (40, 64)),
    ], -1)  # fmt: skip
    density = np.exp(np.asarray(model.log_prob(grid.reshape(-1, 3)), np.float64)).reshape(40, 64)
    height = density.mean(1) * 2 * np.pi
    # The polynomial through the nodes, integrated from −1 to the edges of the bins.
    fitted = np.polynomial.legendre.Legendre.fit(nodes, height, 30, domain=[-1, 1])
    edges = np.linspace(-1, 1, 11)
    share = np.diff(fitted.integ()(edges))
    assert abs(share.sum() - 1) < 5e-3
    count = np.histogram(x[:, 2], edges)[0]
    chi = np.sum((count - 4000 * share) ** 2 / (4000 * share))
    assert chi < 27.9
    assert np.isfinite(model.sample(KEY, 5, steps=4)).all()
    with pytest.raises(ValueError, match="steps: at least 1, got 0"):
        model.sample(KEY, 5, steps=0)


def test_couplings_shorten_the_paths():
    """Pairs of the entropic plan lie nearer to each other than pairs drawn apart."""
    m = sf.Sphere(2)
    x = points(m, 32)
    plain, coupled = (
        FlowMatching(m, network=SMALL, coupling=c).trainer(KEY, x) for c in (None, 0.05)
    )
    zero = lambda k: eqx.tree_at(  # noqa: E731
        lambda k: k.field.network.layers[-1],
        k,
        jax.tree.map(jnp.zeros_like, k.field.network.layers[-1]),
    )
    # With v = 0 the loss is the squared length of the paths.
    lengths = [float(jnp.mean(zero(k).batch_loss(k.examples(x), KEY))) for k in (plain, coupled)]
    assert lengths[1] < 0.8 * lengths[0]


def test_refusals():
    m = sf.Sphere(2)
    for words, made in (
        ("t_min must lie between 0 and 1; got 0.0", lambda: FlowMatching(m, t_min=0.0)),
        ("rtol must lie between 0 and 1", lambda: ContinuousFlow(m, rtol=2.0)),
        ("coupling: a positive variance-time or None", lambda: FlowMatching(m, coupling=-1.0)),
        ("train_steps: at least 1", lambda: ContinuousFlow(m, train_steps=0)),
    ):
        with pytest.raises(ValueError, match=words):
            made()


def test_a_reference_around_the_data():
    """Any reference law: heat kernels around some points."""
    m = sf.Sphere(2)
    x = points(m, 12)
    reference = HeatReference(m, 0.2, x[:3])
    _, model = steered(FlowMatching(m, network=SMALL, reference=reference), x)
    mass = sf.density_mass(model.log_prob, m, n=4000)
    assert abs(mass.value - 1) < 1e-2
    assert isinstance(model.field, VelocityField)
