"""Train LightSB's own class on given samples: run by the interpreter that has torch and geotorch.

    python peer_light_sb_run.py PEER_DIR SAMPLES.npz RESULT.npz

SAMPLES: x0, x1 (training points), judged (points x₀), epsilon; components, diagonal. Settings are
those of the authors' notebook on entropic transport: 50 diagonal components at points of the second
law, 10,000 steps of 128 fresh points of each end, Adam at 1e-3, 3e-3 and 6e-2 for ε = 0.1, 1 and
10; components and diagonal may be given otherwise. RESULT: means and covariances of X₁ | x₀ in
closed form, and seconds. The mean is checked against points drawn by their own sampler.
"""

import sys
import time

import numpy as np

RATES = {0.1: 1e-3, 1.0: 3e-3, 10.0: 6e-2}
BATCH, STEPS, SEED = 128, 10_000, 42


def main() -> None:
    peer, source, target = sys.argv[1:]
    sys.path.insert(0, peer)
    import torch
    from src.light_sb import LightSB

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    given = np.load(source)
    epsilon = float(given["epsilon"])
    components, diagonal = int(given["components"]), bool(given["diagonal"])
    x0, x1, judged = (torch.tensor(given[k], dtype=torch.float32) for k in ("x0", "x1", "judged"))
    rng = np.random.default_rng(SEED)
    wall, processor = time.perf_counter(), time.process_time()
    model = LightSB(
        dim=x0.shape[1], n_potentials=components, epsilon=epsilon, is_diagonal=diagonal,
        S_diagonal_init=1.0, sampling_batch_size=128,
    )  # fmt: skip
    model.init_r_by_samples(x1[rng.integers(len(x1), size=components)])
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
    if diagonal:
        s = s[:, :, None] * np.eye(x.shape[1])
    moved = np.einsum("kij,nj->nki", s, x)
    logits = (0.5 * np.einsum("nki,ni->nk", moved, x) + x @ r.T) / epsilon + log_alpha
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    each = r[None] + moved
    mean = np.einsum("nk,nkd->nd", share, each)
    gap = each - mean[:, None]
    cov = np.einsum("nk,nki,nkj->nij", share, gap, gap)
    cov += epsilon * np.einsum("nk,kij->nij", share, s)
    # Five standard errors of 4000 draws at each of eight points.
    draws = model(judged[:8].repeat(4000, 1)).double().numpy().reshape(4000, 8, -1)
    error = np.sqrt(np.diagonal(cov[:8], axis1=1, axis2=2) / 4000)
    if not (np.abs(draws.mean(0) - mean[:8]) < 5 * error).all():
        raise RuntimeError("moments in closed form do not agree with their sampler")
    np.savez(target, means=mean, covs=cov, seconds=spent[0], processor_seconds=spent[1])


if __name__ == "__main__":
    main()
