"""A learned bridge between two classes of MNIST's images, by a U-Net: twos become threes, and back.

    python examples/mnist.py    # seven minutes of one core
    python examples/mnist.py --steps 20000 --half-steps 6 --batch 256 --channels 64 \\
        --multipliers 1 2 2 --patch 1 --chain 30    # for a large machine

Images of 28×28 pixels are points of R^784; Brownian motion of variance ``--variance`` is the
reference. ``BridgeMatching`` is fitted on the images of both classes but 300 of each, 100 of which
judge half-steps. 200 of each are carried to the other end, and compared with 200 held out there:
energy distance (an unbiased estimate, which can be negative; ``floor`` is what 5 % of random halves
of the held-out images exceed against the other half), and the share that five nearest neighbours,
among training images of all ten classes, take for the class. Beside the bridge: images that were
not moved, real ones, and a light bridge in the space of the first principal components.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import matplotlib
import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

import scorefold as sf
from scorefold import metrics
from scorefold._provenance import provenance
from scorefold.bridges import (
    BridgeMatching,
    GaussianPotential,
    LightBridge,
    brownian_reference,
    fit_bridge,
)

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parent.parent
FRAMES = 8

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--classes", type=int, nargs=2, default=[2, 3])
parser.add_argument("--variance", type=float, default=0.3, help="of the reference, S")
parser.add_argument("--half-steps", type=int, default=2)
parser.add_argument("--steps", type=int, default=600, help="of training in each half-step")
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--rate", type=float, default=1e-3)
parser.add_argument("--paths", type=int, default=720)
parser.add_argument("--channels", type=int, default=32)
parser.add_argument("--multipliers", type=int, nargs="+", default=[1, 2])
parser.add_argument("--patch", type=int, default=2)
parser.add_argument("--chain", type=int, default=12, help="steps of simulated paths")
parser.add_argument("--components", type=int, default=40, help="of the light bridge")
parser.add_argument("--principal", type=int, default=60, help="directions of the light bridge")
parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/mnist_bridge.json")
parser.add_argument("--picture", type=Path, default=ROOT / "docs/images/mnist_bridge.png")
args = parser.parse_args()

images = sf.data.load_images("mnist-t10k")
order = np.random.default_rng(0).permutation(len(images.labels))
points, labels = images.points[order], images.labels[order]
classes = {k: points[labels == k] for k in range(10)}
train = {k: x[:-300] for k, x in classes.items()}
val = {k: x[-300:-200] for k, x in classes.items()}
test = {k: x[-200:] for k, x in classes.items()}
a, b = args.classes
judge = KNeighborsClassifier(5).fit(
    np.concatenate(list(train.values())), np.repeat(range(10), [len(x) for x in train.values()])
)


def measured(x: np.ndarray, label: int) -> dict[str, float]:
    x = np.asarray(x, np.float32)
    found = metrics.energy_distance(images.manifold, x, test[label], key=jax.random.key(9))
    share = float((judge.predict(x) == label).mean())
    return {"energy": found.value, "floor": found.floor, "taken for the class": share}


began, cpu = time.monotonic(), time.process_time()
network = sf.ImageNetworkSpec(
    images.shape, channels=args.channels, multipliers=tuple(args.multipliers), patch=args.patch
)
bridge = BridgeMatching(
    brownian_reference(images.manifold, args.variance), network=network, steps=args.chain,
    coupling="transport",
)  # fmt: skip
bridge, history = fit_bridge(
    bridge, train[a], train[b], key=jax.random.key(0), val=(val[a], val[b]),
    half_steps=args.half_steps, steps=args.steps, refresh=args.steps, paths=args.paths,
    batch_size=args.batch, learning_rate=args.rate,
)  # fmt: skip
seconds = time.monotonic() - began, time.process_time() - cpu
levels = 2 * args.chain
paths = np.asarray(bridge.sample_forward(jax.random.key(1), test[a], steps=levels, paths=True))
back = np.asarray(bridge.sample_backward(jax.random.key(2), test[b], steps=levels))

cpu = time.process_time()
axes = PCA(args.principal, random_state=0).fit(np.concatenate([train[a], train[b]]))
inward = {k: axes.transform(np.concatenate([train[k], val[k], test[k]])) for k in (a, b)}
inward = {k: np.split(x.astype(np.float32), [len(train[k]), -200]) for k, x in inward.items()}
light = {}
for first, last in ((a, b), (b, a)):
    one = LightBridge(
        brownian_reference(sf.Euclidean(args.principal), args.variance),
        potential=GaussianPotential(args.components),
    )
    one, _ = fit_bridge(
        one, inward[first][0], inward[last][0], val=(inward[first][1], inward[last][1]),
        key=jax.random.key(0), steps=400, progress=False,
    )  # fmt: skip
    ends = one.sample_forward(jax.random.key(1), inward[first][2], steps=1)
    light[last] = axes.inverse_transform(np.asarray(ends))
light_seconds = time.process_time() - cpu

result = {
    "provenance": provenance(),
    "settings": {k: str(v) for k, v in vars(args).items() if k not in ("out", "picture")},
    "seconds": seconds[0], "processor_seconds": seconds[1],
    "processor_seconds_of_light_bridges": light_seconds,
    "gap": history.gap.tolist(), "floor_of_gap": np.asarray(history.floor).tolist(),
}  # fmt: skip
for name, x, other, label in (
    ("forward", paths[:, -1], test[a], b),
    ("backward", back, test[b], a),
):
    projected = axes.inverse_transform(axes.transform(test[label]))
    result[name] = {
        "bridge": measured(x, label),
        "bridge, cut to [0, 1]": measured(np.clip(x, 0, 1), label),
        "light bridge": measured(light[label], label),
        "real, in its directions": measured(projected, label),
        "real": measured(val[label], label),
        "unmoved": measured(other, label),
        "moved by": float(np.linalg.norm(x - other, axis=1).mean()),
    }
print(json.dumps(result, indent=1))
args.out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")

grid = np.asarray(bridge.grid(levels, np.float32)) / bridge.total
shown = [int(np.abs(grid - t).argmin()) for t in np.linspace(0, 1, FRAMES)]
rows = 7
figure, panels = plt.subplots(rows, FRAMES + 3, figsize=(8.8, 5.9))
for row, line in enumerate(panels):
    strip = [*paths[row, shown], np.full(784, np.nan), test[b][row], light[b][row]]
    for panel, image in zip(line, strip, strict=True):
        panel.imshow(image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
        panel.axis("off")
for panel, t in zip(panels[0], np.linspace(0, 1, FRAMES), strict=False):
    panel.set_title(f"t = {t:.2f}", fontsize=8)
panels[0, -2].set_title("held out", fontsize=8)
panels[0, -1].set_title("light bridge", fontsize=8)
figure.subplots_adjust(0.01, 0.01, 0.99, 0.94, 0.05, 0.05)
figure.savefig(args.picture, dpi=110)
