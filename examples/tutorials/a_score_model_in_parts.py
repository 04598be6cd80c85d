# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # A score model on the rotations, part by part
#
# `sf.ScoreModel` puts five parts together: a noising process, a loss, a law of noise levels, a
# network, and a sampler. Here each is looked at alone, on SO(3), with a law whose score is known:
# then the network is replaced by the exact score, and what is left is the error of the sampler.

# %%
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import scorefold as sf
from scorefold import report

FOLDER = Path(".")  # where pictures go
STEPS = 1500  # of training

so3 = sf.SO3()
peaks = so3.from_euler([[0.0, 0.0, 0.0], [120.0, 60.0, 0.0]], degrees=True)
law = sf.data.HeatMixture(so3, np.asarray(peaks), s=[0.05, 0.1])
key = jax.random.key(0)
draws = law.sample(jax.random.key(1), 2700)
train, val, test = draws[:2000], draws[2000:2200], draws[2200:]

# %% [markdown]
# ## Noising
#
# Brownian motion on SO(3). Its transition is known, so a noised rotation is one draw, not a walk.

# %%
noising = sf.Brownian(so3, sf.Linear(0.001, 10.0))
noised = jax.vmap(lambda k, x: noising.sample(k, x, 0.5))(jax.random.split(key, 5), train[:5])
print("total variance-time", noising.schedule.total, "spectral gap", so3.spectral_gap)
print("distance moved", jax.vmap(so3.dist)(train[:5], noised).round(2))

# %% [markdown]
# ## Loss
#
# The target of denoising score matching is the gradient of the log transition. Its mean over the
# data, given where they arrived, is the score of the noised law.

# %%
s = 0.5
here = noised[0]
targets = jax.vmap(lambda x0: noising.score(here, x0, s))(train)
weights = jax.nn.softmax(jax.vmap(lambda x0: noising.log_prob(here, x0, s))(train))
estimate = jnp.einsum("n,nij->ij", weights, targets)
exact = law.score(here[None], s)[0]
print("|score|", so3.norm(here, exact).round(2), "error", so3.norm(here, estimate - exact).round(3))

# %% [markdown]
# ## Training
#
# Noise levels are drawn where the loss is large (`Importance`); the output is made of
# left-invariant fields, three numbers a point (`KillingOutput`).

# %%
description = sf.ScoreModel(
    noising, loss=sf.Denoising(), times=sf.Importance(), output=sf.KillingOutput(),
    network=sf.NetworkSpec(width=64, depth=2, fourier=64), s_min=1e-3,
)  # fmt: skip
model, history = sf.fit(
    description, train, val=val, key=key, steps=STEPS, batch_size=256, progress=False
)
print(history.steps, "steps, stopped by", history.stopped)

# %% [markdown]
# ## What is the likelihood, and what is missing?
#
# The density of the model, by its probability flow, beside that of the law itself at the same
# points. The difference is the price of learning.

# %%
found = -float(np.mean(model.log_prob(test)))
truth = -float(np.mean(law.log_prob(test)))
print(f"model {found:.3f}, law {truth:.3f}, uniform {so3.log_volume:.3f} nats")

# %% [markdown]
# ## Sampler
#
# The same reversal with the exact score: what is off now is off because of the steps.


# %%
def exact_score(x, s):
    return law.score(x[None], s)[0]


for steps in (10, 30, 100):
    drawn = sf.sample_reverse(noising, exact_score, key, 500, s_min=1e-3, steps=steps)
    of_model = model.sample(key, 500, steps=steps)
    print(
        f"{steps} steps: mean log p, exact score {np.mean(law.log_prob(drawn)):.2f}, "
        f"learned {np.mean(law.log_prob(of_model)):.2f}; of the law {-truth:.2f}"
    )

# %%
figure = report.picture(
    so3, samples=np.asarray(of_model), data={"test": np.asarray(test)}, pixels=120,
    title="Draws of the score model, and test rotations",
)  # fmt: skip
figure.savefig(FOLDER / "rotations.png", dpi=70)

# %% [markdown]
# ![Euler angles and axes of draws and of test rotations](../images/tutorials/rotations.png)
#
# Everything here works on the other spaces by changing the manifold; on hyperbolic spaces Brownian
# motion is stopped (`sf.default_noising`).

# %%
plt.close("all")
