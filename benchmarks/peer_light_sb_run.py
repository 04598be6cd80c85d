"""Train LightSB's own class on given samples: run by the interpreter that has torch and geotorch.

    python peer_light_sb_run.py PEER_DIR SAMPLES.npz RESULT.npz

SAMPLES: x0, x1 (training points), judged (points x₀), epsilon. Settings are those of the authors'
notebook on entropic transport: 50 diagonal components at points of the second law, 10,000 steps of
128 fresh points of each end, Adam at 1e-3, 3e-3 and 6e-2 for ε = 0.1, 1 and 10. RESULT: means and
covariances of X₁ | x₀ in closed form, and seconds.
"""

import sys
import time

import numpy as np

RATES = {0.1: 1e-3, 1.0: 3e-3, 10.0: 6e-2}
COMPONENTS, BATCH, STEPS, SEED = 50, 128, 10_000, 42


def main() -> None:
    peer, source, target = sys.argv[1:]
    sys.path.insert(0, peer)
    import torch
    from src.light_sb import LightSB

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    given = np.load(source)
    epsilon = float(given["epsilon"])
    x0, x1, judged = (torch.tensor(given[k], dtype=torch.float32) for k in ("x0", "x1", "judged"))
    rng = np.random.default_rng(SEED)
    wall, processor = time.perf_counter(), time.process_time()
    model = LightSB(
        dim=x0.shape[1], n_potentials=COMPONENTS, epsilon=epsilon, is_diagonal=True,
        S_diagonal_init=1.0,
    )  # fmt: skip
    model.init_r_by_samples(x1[rng.integers(len(x1), size=COMPONENTS)])
    optimiser = torch.optim.Adam(model.parameters(), lr=RATES[epsilon])
    for _ in range(STEPS):
        optimiser.zero_grad()
        a = x0[rng.integers(len(x0), size=BATCH)]
        b = x1[rng.integers(len(x1), size=BATCH)]
        loss = (model.get_log_C(a) - model.get_log_potential(b)).mean()
        loss.backward()
        optimiser.step()
    spent = time.perf_counter() - wall, time.process_time() - processor
    with torch.no_grad():
        s, r = model.get_S().double().numpy(), model.get_r().double().numpy()
        log_alpha = model.get_log_alpha().double().numpy()
    x = judged.double().numpy()
    logits = 0.5 * (x**2 @ s.T + 2.0 * x @ r.T) / epsilon + log_alpha
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    each = r[None] + s[None] * x[:, None, :]
    mean = np.einsum("nk,nkd->nd", share, each)
    gap = each - mean[:, None]
    cov = np.einsum("nk,nki,nkj->nij", share, gap, gap)
    d = x.shape[1]
    cov[:, np.arange(d), np.arange(d)] += epsilon * share @ s
    np.savez(target, means=mean, covs=cov, seconds=spent[0], processor_seconds=spent[1])


if __name__ == "__main__":
    main()
