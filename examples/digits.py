"""A Schrödinger bridge between two classes of images: fours become nines (scikit-learn's digits).

    python examples/digits.py

Images of 8×8 pixels are points of R^64. The bridge is fitted on 80 % of each class and carries
fours that it has not seen; their ends are compared with nines that it has not seen, beside the
distance of other nines to those (energy distance; twice E|X − Y| less the distances within).
Conditional generation is the same bridge with some pixels given: here the upper half.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from sklearn.datasets import load_digits

import scorefold as sf

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "digits_bridge.png"
FRAMES = 7


def held_out(images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    images = images[rng.permutation(len(images))]
    cut = int(0.8 * len(images))
    return images[:cut], images[cut:]


def energy(x: np.ndarray, y: np.ndarray) -> float:
    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a[:, None] - b[None], axis=-1).mean())

    # Pairs of a point with itself do not count.
    n, m = len(x), len(y)
    return 2 * mean(x, y) - mean(x, x) * n / (n - 1) - mean(y, y) * m / (m - 1)


digits = load_digits()
pixels = (digits.images.reshape(-1, 64) / 16).astype(np.float32)
rng = np.random.default_rng(0)
fours, new_fours = held_out(pixels[digits.target == 4], rng)
nines, new_nines = held_out(pixels[digits.target == 9], rng)

space = sf.Euclidean(64)
bridge = sf.LightBridge(sf.bridges.brownian_reference(space, 0.02))
bridge, history = sf.fit_bridge(
    bridge, fours, nines, key=jax.random.key(0), val=(new_fours[::2], new_nines[::2])
)
carried, others = new_fours[1::2], new_nines[1::2]
paths = bridge.sample_forward(jax.random.key(1), carried, steps=60, paths=True)
print(f"fitted in {history.train_seconds:.1f} s")
print(f"energy distance to new nines: bridged fours {energy(np.asarray(paths[:, -1]), others):.3f}")
print(
    f"    training nines {energy(nines, others):.3f}, unbridged fours {energy(carried, others):.3f}"
)

levels = np.asarray(bridge.grid(60, jnp.float32)) / bridge.total
shown = [int(np.abs(levels - t).argmin()) for t in np.linspace(0, 1, FRAMES)]
upper = tuple(range(32))
given = bridge.sample_given(jax.random.key(2), carried[:5], upper, others[:5][:, :32])
figure, axes = plt.subplots(5, FRAMES + 2, figsize=(8.2, 5.2))
for row, line in enumerate(axes):
    images = [*np.asarray(paths[row, shown]), others[row], np.asarray(given[row])]
    for axis, image in zip(line, images, strict=True):
        axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
for axis, t in zip(axes[0], np.linspace(0, 1, FRAMES), strict=False):
    axis.set_title(f"t = {t:.2f}", fontsize=8)
axes[0, -2].set_title("a new nine", fontsize=8)
axes[0, -1].set_title("its upper\nhalf given", fontsize=8)
figure.tight_layout()
figure.savefig(PICTURE, dpi=130)
