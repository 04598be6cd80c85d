"""Writes heat_sphere.npz: log p_s(r) on S^d and its first two derivatives in r.

    python tests/oracles/make_heat_table.py

Columns d, r, s, log_prob, score, hessian; r and s are float32 numbers, so that both dtypes are
tested at exactly these arguments. s ≥ 0.02: ``zonal_series``; s < 0.02: ``images``.
"""

from pathlib import Path

import numpy as np
from heat_oracles import images, log_score_hessian, zonal_series

DIMENSIONS = (1, 2, 3, 4, 5, 8)
ANGLES = (0.0, 1e-3, 0.1, 0.5, 1.0, 1.7, 2.1, 2.2, 2.3, 2.6, 2.9, 3.0, 3.1)
TIMES = (0.02, 0.05, 0.15, 0.35, 0.45, 0.6, 0.99, 1.01, 3.0, 10.0)
SMALL_TIMES = (1e-4, 2e-3)
SMALL_ANGLES = (0.1, 1.0, 2.3, 3.0, 3.1)


def main() -> None:
    rows = []
    for d in DIMENSIONS:
        for r in np.float32(ANGLES).astype(float):
            for s in np.float32(TIMES).astype(float):
                rows.append((d, r, s, *log_score_hessian(*zonal_series(d, r, s), r)))
            if any(abs(r - a) < 1e-6 for a in SMALL_ANGLES):
                for s in np.float32(SMALL_TIMES).astype(float):
                    rows.append((d, r, s, *log_score_hessian(*images(d, r, s), r)))
    names = ("d", "r", "s", "log_prob", "score", "hessian")
    table = dict(zip(names, np.asarray(rows).T, strict=True))
    np.savez_compressed(Path(__file__).with_name("heat_sphere.npz"), **table)


if __name__ == "__main__":
    main()
