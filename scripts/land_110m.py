"""Decode Natural Earth's 1:110m land polygons from TopoJSON into the rings that the maps draw.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python scripts/land_110m.py package/land-110m.json src/scorefold/report/land-110m.npz

The output holds ``degrees`` (n, 2), longitude and latitude of all ring vertices in a row, and
``starts`` (rings + 1,), so that ring k is ``degrees[starts[k] : starts[k + 1]]`` and closed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

SHA256 = "ead5f68119c49a9250902e7da303bcb209341bbb8fefe7369a439b48b704658a"


def decode(topology: dict) -> tuple[np.ndarray, np.ndarray]:
    """Rings of the object ``land``; arcs are quantised and delta-coded (TopoJSON 1.0, §2.1.3)."""
    scale, shift = (np.array(topology["transform"][k]) for k in ("scale", "translate"))
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + shift for arc in topology["arcs"]]
    rings = []
    for geometry in topology["objects"]["land"]["geometries"]:
        for polygon in geometry["arcs"]:
            for ring in polygon:
                # A negative index ~k is arc k backwards; arcs share their end points.
                pieces = [arcs[k] if k >= 0 else arcs[~k][::-1] for k in ring]
                rings.append(np.concatenate([pieces[0], *(piece[1:] for piece in pieces[1:])]))
    starts = np.cumsum([0, *(len(ring) for ring in rings)])
    return np.concatenate(rings).astype(np.float32), starts.astype(np.int32)


def main(source: str, target: str) -> None:
    content = Path(source).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{source}: sha256 {found}, expected {SHA256} (world-atlas 2.0.2).")
    degrees, starts = decode(json.loads(content))
    np.savez_compressed(target, degrees=degrees, starts=starts)
    print(f"{target}: {len(starts) - 1} rings, {len(degrees)} points")


if __name__ == "__main__":
    main(*sys.argv[1:])
