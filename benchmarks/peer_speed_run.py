"""One measurement of ``benchmarks/peer_speed.py``, in a process of its own.

    python benchmarks/peer_speed_run.py kernels "ours, heat" 10000

The last line is a JSON object. ``first`` counts compiling, building trees and one call; ``again``
is the same call once more. ``peak_mib`` is the most memory the process has held, imports and all.
"""

import json
import math
import os
import resource
import sys
import time

import numpy as np
from kernel_scale import clustered

QUERIES, JUDGED, SEEN = 10_000, 100, 1e-6
"""Points at which densities are asked for; how many are judged; densities below are not."""
LONG = 30.0
"""Seconds of a call that is not repeated."""
VARIANCE, TOLERANCE = 0.1, 1e-4
"""Of the reference process; of the marginals, in L¹."""


def timed(function) -> tuple[object, dict]:
    """What ``function`` returns, and the seconds of two calls: of one where it takes so long that
    compiling is little of it."""
    seconds: list[float] = []
    processor: list[float] = []
    while len(seconds) < 2 and sum(seconds) < LONG:
        wall, cpu = time.perf_counter(), time.process_time()
        found = function()
        seconds.append(time.perf_counter() - wall)
        processor.append(time.process_time() - cpu)
    return found, {"first": seconds[0], "again": seconds[-1], "calls": len(seconds),
                   "processor_first": processor[0], "processor_again": processor[-1]}  # fmt: skip


# -- densities of kernels of one bandwidth on S² -----------------------------------------------


def kernels(code: str, n: int) -> dict:
    z, x = (clustered(k, seed).astype(np.float32) for k, seed in ((n, 2), (QUERIES, 3)))
    h = 0.3 * n ** (-1 / 6)
    law, call = _DENSITIES[code]
    found, seconds = timed(call(z, x, h))
    at = np.linspace(0, QUERIES - 1, JUDGED).astype(int)
    exact = _exact(law, z.astype(np.float64), x[at].astype(np.float64), h)
    kept = exact > math.log(SEEN)
    error = np.abs(np.asarray(found, np.float64)[at] - exact)[kept]
    return {**seconds, "law": law, "bandwidth": h, "error": float(error.max()),
            "judged": int(kept.sum())}  # fmt: skip


def _heat(z, x, h):
    import scorefold as sf
    from scorefold.models import HeatKernelDensity

    s = np.full(len(z), h * h, np.float32)
    return lambda: np.asarray(HeatKernelDensity(sf.Sphere(2), z, s).log_prob(x))


def _wrapped(z, x, h):
    import jax.numpy as jnp

    import scorefold as sf
    from scorefold.kernels import WrappedMixture, truncated_log_prob
    from scorefold.noising import UniformReference

    sphere, n = sf.Sphere(2), len(z)
    axes = np.broadcast_to(np.eye(2), (n, 2, 2))
    parts = (z, axes, np.full((n, 2), h * h), np.full(n, -math.log(n)), -60.0)
    parts = tuple(jnp.asarray(p, jnp.float32) for p in parts)

    def call():
        mixture = WrappedMixture(sphere, UniformReference(sphere), *parts)
        return np.asarray(truncated_log_prob(mixture, x, rtol=1e-4)[0])

    return call


def _dense(z, x, h):
    import jax
    import jax.numpy as jnp

    kappa, log_c = 1 / h**2, _log_vmf(1 / h**2)

    @jax.jit
    def log_prob(z, x):
        one = lambda y: jax.nn.logsumexp(kappa * (z @ y - 1.0))  # noqa: E731
        return jax.lax.map(one, x, batch_size=max(1, 2**22 // len(z))) + log_c - math.log(len(z))

    return lambda: np.asarray(log_prob(jnp.asarray(z), jnp.asarray(x)))


def _keops(z, x, h):
    from pykeops.numpy import LazyTensor

    kappa, log_c = 1 / h**2, _log_vmf(1 / h**2)

    def call():
        dots = (LazyTensor(x[:, None, :]) * LazyTensor(z[None, :, :])).sum(-1)
        return (kappa * (dots - 1.0)).logsumexp(1).ravel() + log_c - math.log(len(z))

    return call


def _sklearn(rtol):
    def prepared(z, x, h):
        from sklearn.neighbors import KernelDensity

        def place(p):
            return np.stack([np.arcsin(np.clip(p[:, 2], -1, 1)), np.arctan2(p[:, 1], p[:, 0])], 1)

        def call():
            law = KernelDensity(bandwidth=h, metric="haversine", algorithm="ball_tree", rtol=rtol)
            return law.fit(place(z.astype(np.float64))).score_samples(place(x.astype(np.float64)))

        return call

    return prepared


_DENSITIES = {
    "ours, heat": ("heat", _heat),
    "ours, wrapped normal, cells at 1e-4": ("wrapped", _wrapped),
    "scikit-learn, rtol 0": ("distance", _sklearn(0.0)),
    "scikit-learn, rtol 1e-4": ("distance", _sklearn(1e-4)),
    "dense JAX": ("vmf", _dense),
    "KeOps": ("vmf", _keops),
}
"""The law of each code's kernel, and what prepares a call."""


def _log_vmf(kappa: float) -> float:
    """log κ/(2π(1 − e^{−2κ})): of e^{κ(⟨x, z⟩ − 1)} on S²."""
    return math.log(kappa / (2 * math.pi)) - math.log1p(-math.exp(-2 * kappa))


def _exact(law: str, z: np.ndarray, x: np.ndarray, h: float) -> np.ndarray:
    """log of the mean kernel at every x, in float64."""
    from scipy.special import logsumexp

    found = []
    for y in x:
        r = 2 * np.arctan2(np.linalg.norm(z - y, axis=1), np.linalg.norm(z + y, axis=1))
        if law == "heat":
            found.append(math.log(np.mean(_series(np.cos(r), h * h))))
            continue
        if law == "vmf":
            terms = _log_vmf(1 / h**2) - 2 * np.sin(r / 2) ** 2 / h**2
        else:  # exp(−r²/2h²), over 2πh² as on the plane
            terms = -0.5 * (r / h) ** 2 - math.log(2 * math.pi * h * h)
        if law == "wrapped":
            terms = terms - np.log(np.sinc(r / math.pi))
        found.append(logsumexp(terms) - math.log(len(z)))
    return np.asarray(found)


def _series(c: np.ndarray, s: float) -> np.ndarray:
    """Σ_l (2l + 1)/4π e^{−l(l+1)s/2} P_l(c), to 1e-17 of its peak."""
    before, now, total = np.zeros_like(c), np.ones_like(c), np.zeros_like(c)
    for degree in range(2 + int(math.sqrt(90 / s))):
        total += (2 * degree + 1) / (4 * math.pi) * math.exp(-degree * (degree + 1) * s / 2) * now
        before, now = now, ((2 * degree + 1) * c * now - degree * before) / (degree + 1)
    return np.maximum(total, 1e-300)


# -- entropic transport on S² ------------------------------------------------------------------


def ends(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of one law of clusters, and of the same turned by a right angle."""
    return clustered(n, 2).astype(np.float32), clustered(n, 3)[:, [1, 2, 0]].astype(np.float32)


def transport(code: str, n: int) -> dict:
    """Plans of the costs −log p_S(y | x): log P = u_i + v_j − C_ij is judged in float64."""
    import jax.numpy as jnp

    import scorefold as sf
    from scorefold.bridges import brownian_reference
    from scorefold.bridges.exact.transport import transition_costs

    reference = brownian_reference(sf.Sphere(2), VARIANCE)
    costs = np.asarray(transition_costs(reference, *map(jnp.asarray, ends(n))))
    (u, v, iterations), seconds = timed(_PLANS[code](costs))
    u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
    rows, columns = np.empty(n), np.zeros(n)
    for i in range(n):
        row = np.exp(u[i] + v - costs[i])
        rows[i], columns = row.sum(), columns + row
    error = np.abs(rows - 1 / n).sum() + np.abs(columns - 1 / n).sum()
    return {**seconds, "iterations": int(iterations), "marginal_error": float(error),
            "cost_range": float(np.ptp(costs))}  # fmt: skip


def _ours(costs):
    import jax.numpy as jnp

    from scorefold.bridges import sinkhorn

    costs = jnp.asarray(costs)

    def call():
        plan = sinkhorn(costs, epsilon=1.0, tolerance=TOLERANCE)
        return np.asarray(plan.f + plan.log_a), np.asarray(plan.g + plan.log_b), plan.iterations

    return call


def _ott(lse_mode):
    def prepared(costs):
        import jax
        import jax.numpy as jnp
        from ott.geometry import geometry
        from ott.problems.linear import linear_problem
        from ott.solvers.linear import sinkhorn

        solver = sinkhorn.Sinkhorn(lse_mode=lse_mode, threshold=TOLERANCE, max_iterations=10_000)
        costs = jnp.asarray(costs)

        @jax.jit
        def solved(costs):
            found = solver(linear_problem.LinearProblem(geometry.Geometry(costs, epsilon=1.0)))
            return found.f, found.g, found.n_iters

        def call():
            f, g, iterations = solved(costs)
            return np.asarray(f), np.asarray(g), iterations

        return call

    return prepared


def _pot(name):
    def prepared(costs):
        import ot

        n = len(costs)
        a = np.full(n, 1 / n, costs.dtype)

        def call():
            # Its error is that of one marginal in L²: this is at most the tolerance in L¹.
            goal = {"stopThr": TOLERANCE / math.sqrt(n), "numItermax": 10_000, "log": True}
            _, log = getattr(ot.bregman, name)(a, a, costs, 1.0, **goal)
            if "log_u" in log:
                return log["log_u"], log["log_v"], log["niter"] + 1
            return np.log(log["u"]), np.log(log["v"]), log["niter"] + 1

        return call

    return prepared


_PLANS = {
    "ours": _ours,
    "ott-jax": _ott(True),
    "ott-jax, scalings": _ott(False),
    "POT, logarithms": _pot("sinkhorn_log"),
    "POT, scalings": _pot("sinkhorn_knopp"),
}


# -- ours alone --------------------------------------------------------------------------------


def points(code: str, n: int) -> dict:
    """``transport`` of points: costs, iterations and all."""
    import jax

    import scorefold as sf
    from scorefold.bridges import brownian_reference
    from scorefold.bridges import transport as solve

    reference, (x, y) = brownian_reference(sf.Sphere(2), VARIANCE), ends(n)
    wall = time.perf_counter()
    plan = solve(reference, x, y, matrix=code == "a matrix", tolerance=TOLERANCE)
    jax.block_until_ready(plan.error)
    return {"first": time.perf_counter() - wall, "iterations": int(plan.iterations),
            "marginal_error": float(plan.error)}  # fmt: skip


def light(code: str, n: int) -> dict:
    """A light bridge of n points to n others, by default settings."""
    import jax

    import scorefold as sf
    from scorefold.bridges import LightBridge, brownian_reference, fit_bridge

    bridge = LightBridge(brownian_reference(sf.Sphere(2), VARIANCE))
    wall = time.perf_counter()
    _, history = fit_bridge(bridge, *ends(n), key=jax.random.key(0), progress=False)
    return {"first": time.perf_counter() - wall, "compile": history.compile_seconds,
            "training": history.train_seconds, "steps": history.steps}  # fmt: skip


PARTS = {"kernels": kernels, "transport": transport, "points": points, "light": light}


def main() -> None:
    part, code, n = sys.argv[1:]
    load = os.getloadavg()[0]
    found = PARTS[part](code, int(n))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "peak_mib": round(peak), "load": round(load, 2)}))


if __name__ == "__main__":
    main()
