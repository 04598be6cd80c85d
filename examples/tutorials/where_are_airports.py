# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # A density on the globe, and how far to trust it
#
# 7,900 airports come with the package. We fit a density to them, ask which part of the Earth holds
# half of all airports, and test every claim on airports that the model has not seen.

# %%
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import scorefold as sf
from scorefold import report
from scorefold.metrics import generalisation, held_out, reference_nll
from scorefold.models import HeatKernelDensity
from scorefold.regions import credible_region

FOLDER = Path(".")  # where pictures go
STEPS = 300  # of training

# %% [markdown]
# ## Look at the data first
#
# The audit counts what decides how far a likelihood can be trusted: repeated points, and test
# points that training has seen. Some airports share their coordinates, so the split keeps equal
# points together (`grouped`).

# %%
airports = sf.data.load("airports", protocol="grouped", seed=0)
sphere = airports.manifold
print(airports.audit)

# %% [markdown]
# ## Two models
#
# One bandwidth for all kernels, chosen by left-out points; and a covariance for each kernel,
# learned from held-out folds. Both are closed forms: a likelihood costs no integration.

# %%
key = jax.random.key(0)
train = airports.train[:3000]
one = HeatKernelDensity.choose(sphere, train, val=airports.val)
kernels, history = sf.fit(
    sf.KernelModel(sphere), train, val=airports.val, key=key, steps=STEPS, progress=False
)
uniform = reference_nll(sphere, train, airports.test).nll
for name, model in (("one bandwidth", one), ("learned kernels", kernels)):
    found = held_out(model, airports.test)
    print(f"{name}: {found.nll:.3f} ± {found.standard_error:.3f} nats; uniform {uniform:.3f}")

# %% [markdown]
# The standard error is that of the mean over test points. Two models on the same points are
# compared by the differences point by point, whose error is smaller:

# %%
gain = np.asarray(kernels.log_prob(airports.test) - one.log_prob(airports.test))
print(f"learned kernels gain {gain.mean():.3f} ± {gain.std() / len(gain) ** 0.5:.3f} nats a point")

# %% [markdown]
# ## Where is half of them?
#
# The smallest region with half of the mass of the model. Its coverage by test airports says whether
# the region is right, and not only the model's opinion.

# %%
region = credible_region(kernels, 0.5, key=jax.random.key(1), n=5000)
covered = region.coverage(airports.test)
print(f"half of the airports lie in {100 * region.area / (4 * np.pi):.1f} % of the globe; ", end="")
print(f"{covered.value:.3f} ± {covered.standard_error:.3f} of the test airports are inside")

# %%
density = report.tabulated(kernels.log_prob, sphere, rows=90)
figure = report.globes(
    log_prob=density, data={"held-out airports": airports.test}, centre=(45, 10), earth=True
)
figure.savefig(FOLDER / "airports.png", dpi=56)

# %% [markdown]
# ![Density of airports on two hemispheres](../images/tutorials/airports.png)
#
# ## Does it copy?
#
# Draws of a model that memorises lie on training points. Each measure has a null, or the floor that
# fresh data have.

# %%
draws = kernels.sample(jax.random.key(2), 500)
found = generalisation(
    sphere, draws, train, airports.test, model=kernels, key=jax.random.key(3), likelihoods=200
)
for measure, verdict in found.verdicts.items():
    print(f"{measure}: {verdict}")

# %% [markdown]
# ## Keep it
#
# One file, read back bit for bit, which executes nothing.

# %%
sf.save(FOLDER / "airports.safetensors", kernels, {"protocol": airports.protocol})
again = sf.load(FOLDER / "airports.safetensors")
assert (again.log_prob(airports.test[:5]) == kernels.log_prob(airports.test[:5])).all()
plt.close("all")
