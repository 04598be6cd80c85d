"""Writes heat_so3_hyp.json: rows [d or "SO(3)", r, s, log p, ∂_r log p], correct to 1e-13.

Run `python tests/oracles/make_heat_so3_hyp.py` (about ten minutes). All r and s are exact in
float32, so that one table serves both precisions.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from heat_oracles_so3_hyp import hyperbolic_even, hyperbolic_odd, so3, so3_images


def exact(values) -> list[float]:
    return [float(v) for v in np.float32(values)]


def rotations() -> list:
    rows = []
    for s in exact([1e-4, 1e-3, 0.01, 0.1, 0.5, 1.4, 1.6, 3.0, 10.0]):
        for r in exact([1e-3, 0.05, 0.3, 1.0, 2.0, 2.7, 3.1]):
            images = so3_images(r, s)
            if r * r / (2 * s) < 5000:
                characters = so3(r, s)
                for a, b in zip(images, characters, strict=True):
                    assert abs(a - b) < 1e-14 * max(1, abs(b)), (r, s, a, b)
            rows.append(["SO(3)", r, s, *(float(v) for v in images)])
    return rows


def hyperbolic() -> list:
    rows = []
    for s in exact([1e-4, 0.01, 0.1, 1.0, 3.0, 10.0]):
        for r in exact([1e-3, 0.3, 1.0, 1.9, 3.5, 6.0]):
            found = hyperbolic_odd(r, s, (3, 5, 7))
            found |= hyperbolic_even(r, s, (2, 4, 6, 8) if r in exact([0.3, 1.9, 6.0]) else (2, 4))
            rows += [[d, r, s, *(float(v) for v in found[d])] for d in sorted(found)]
            print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    table = [*rotations(), *hyperbolic()]
    lines = ",\n".join(json.dumps(row) for row in table)
    Path(__file__).with_name("heat_so3_hyp.json").write_text(f"[\n{lines}\n]\n")
