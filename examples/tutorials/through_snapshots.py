# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # What happened between the snapshots
#
# A population is seen at a few times, each member at one of them. Three answers to where it was in
# between: straight lines, a Schrödinger bridge, smooth splines. One snapshot is left out, and says
# which of them is right.

# %%
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import scorefold as sf
from scorefold.bridges import fit_intervals, fit_splines, interpolate_snapshots
from scorefold.metrics import leave_one_out

FOLDER = Path(".")  # where pictures go
STEPS = 300  # of training

# %% [markdown]
# ## Snapshots
#
# A synthetic population in the plane whose members move along curves.

# %%
petal = sf.data.load_snapshots("petal", n=300, seed=0)
train, _, test = petal.split(0)
print(petal.times, [len(points) for points in train.points])
plane, key = petal.manifold, jax.random.key(0)

# %% [markdown]
# ## Three laws of paths

# %%
lines = interpolate_snapshots(plane, train.times, train.points, key=key)
bridge, _ = fit_intervals(plane, train.times, train.points, key=key, steps=STEPS, progress=False)
splines, _ = fit_splines(plane, train.times, train.points, key=key)

# %%
middle = 0.5 * (train.times[1] + train.times[2])
at = np.linspace(train.times[0], train.times[-1], 61)
paths = {
    "bridge": np.asarray(bridge.sample_paths(key, train.points[0][:40], at)),
    "splines": np.asarray(splines.sample(key, at))[:40],
}
figure, panels = plt.subplots(
    1, 2, figsize=(7.2, 3.4), sharex=True, sharey=True, layout="constrained"
)
for panel, (name, curves) in zip(panels, paths.items(), strict=True):
    for points in train.points:
        panel.plot(*np.asarray(points).T, ".", color="0.75", ms=2)
    for curve in curves:
        panel.plot(*curve.T, color="tab:blue", lw=0.5)
    panel.set(title=name, aspect="equal")
figure.savefig(FOLDER / "petal.png", dpi=90)

# %% [markdown]
# ![Paths of a bridge and of splines through the snapshots](../images/tutorials/petal.png)
#
# ## Which is right?
#
# Each inner snapshot in turn is left out, and the law at its time compared with held-out members.
# The floor is the distance of the training members of that snapshot, which no method sees.


# %%
def w2(fit):
    left = leave_one_out(train, test, fit, key=key, which=(1, 2), repeats=2)
    return np.mean([one.w2 for one in left]), np.mean([one.floor_w2 for one in left])


methods = {
    "lines": lambda some: interpolate_snapshots(some.manifold, some.times, some.points, key=key),
    "bridge": lambda some: fit_intervals(
        some.manifold, some.times, some.points, key=key, steps=STEPS, progress=False
    )[0],
    "splines": lambda some: fit_splines(some.manifold, some.times, some.points, key=key)[0],
}
for name, fit in methods.items():
    distance, floor = w2(fit)
    print(f"{name}: W₂ to the snapshot left out {distance:.3f}, floor {floor:.3f}")

# %% [markdown]
# Brownian motion has no velocity: where paths curve, its bridge goes straight from snapshot to
# snapshot. Splines carry velocities through. `sf.bridges.fit_snapshots` makes this comparison by
# itself.

# %%
plt.close("all")
