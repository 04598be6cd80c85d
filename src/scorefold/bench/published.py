"""Numbers that others print, as they print them, with where they stand and what they mean."""

from __future__ import annotations

from scorefold.bench.contract import Published

_RSGM = (
    "De Bortoli et al. 2022, Table 3: random splits of the rows for each of five seeds, repeated "
    "rows in both parts; ± is half of a 95 % interval of the mean, 1.24 standard deviations; "
    "600,000 steps (continuous flow 100,000) on a GPU."
)
_KENT = (
    "De Bortoli et al. 2022, Table 3. The original program passes latitude and longitude where its "
    "map wants inclination and azimuth and divides the scatter by n, so that this row is no "
    "mixture of Kent laws on the sphere. ± as in the row of score models."
)
_RFM = (
    "Chen & Lipman 2024, Table 1: splits of their own, repeated rows in both parts; ± is a "
    "standard deviation over five seeds; about a million steps with 2048 × 7 to 12 units on a GPU."
)
_RDM = (
    "Huang et al. 2022, Table 1: not the likelihood but a variational bound with 100 samples; "
    "splits of De Bortoli et al.; ± is a standard deviation."
)
_MIXTURE = (
    "Jo & Hwang 2024, Table 1, splits of De Bortoli et al.; ± is a standard deviation over five "
    "seeds; we could not verify these."
)


def _row(method: str, note: str, *cells: str) -> Published:
    names = ("volcano", "earthquake", "flood", "fire")
    found = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    return Published(method, "published", found, note)


EARTH = (
    _row("Kent mixture", _KENT, "−0.80 ± 0.47", "0.33 ± 0.05", "0.73 ± 0.07", "−1.18 ± 0.06"),
    _row(
        "continuous flow", _RSGM, "−6.05 ± 0.61", "0.14 ± 0.23", "1.11 ± 0.19", "−0.80 ± 0.54"
    ),
    _row("Moser flow", _RSGM, "−4.21 ± 0.17", "−0.16 ± 0.06", "0.57 ± 0.10", "−1.28 ± 0.05"),
    _row(
        "stereographic score model", _RSGM,
        "−3.80 ± 0.27", "−0.19 ± 0.05", "0.59 ± 0.07", "−1.28 ± 0.12",
    ),
    _row(
        "Riemannian score model", _RSGM,
        "−4.92 ± 0.25", "−0.19 ± 0.07", "0.45 ± 0.17", "−1.33 ± 0.06",
    ),
    _row("Riemannian diffusion (bound)", _RDM,
         "−6.61 ± 0.97", "−0.40 ± 0.05", "0.43 ± 0.07", "−1.38 ± 0.05"),
    _row("flow matching", _RFM, "−7.93 ± 1.67", "−0.28 ± 0.08", "0.42 ± 0.05", "−1.86 ± 0.11"),
    _row("diffusion mixture", _MIXTURE,
         "−9.52 ± 0.87", "−0.30 ± 0.06", "0.42 ± 0.08", "−2.47 ± 0.11"),
)  # fmt: skip
"""Test NLL in nats of points of the sphere."""

_RNA = "Chen & Lipman 2024, Table 2: a random split of nucleotides; ± is a standard deviation."
WPO = (
    *(row for row in EARTH if row.method in ("Riemannian score model", "flow matching")),
    Published("flow matching", "random", {"rna": "−5.20 ± 0.067"}, _RNA),
)
"""Test NLL in nats."""

_RNA_BOUND = (
    "Huang et al. 2022, RNA: not the likelihood but a variational bound; a random split of "
    "nucleotides; ± is a standard deviation. For tori of many dimensions there are only plots: "
    "Moser flows could not be trained from d = 10 on (De Bortoli et al. 2022, a figure), and flow "
    "matching loses nothing a dimension (Chen & Lipman 2024, a figure)."
)
TORUS = (
    Published("Riemannian diffusion (bound)", "random", {"rna": "−3.70 ± 0.592"}, _RNA_BOUND),
    Published("flow matching", "random", {"rna": "−5.20 ± 0.067"}, _RNA),
)
"""Test NLL in nats."""
_SO3 = (
    "De Bortoli et al. 2022, Table 5, as in the paper; ± as they print it, over five runs. Each "
    "run draws its own mixture by the same recipe, so that their numbers and ours are of different "
    "mixtures: the mean truth of ours, seeds 0 to 4, is 0.910 ± 0.035, 0.236 ± 0.056, −0.448 ± "
    "0.022 for M = 16, 32, 64 (± half of a 95 % interval of the mean), by the volume 8π². With "
    "the other usual measures it would be larger by 4.37 (total 1) or smaller by 1.04 (total "
    "2^{3/2}·8π²): theirs is 8π² too."
)
_SO3_POSTER = (
    "The same table as the poster and the repository print it; the paper has 0.82 ± 0.03, "
    "0.12 ± 0.03, −0.49 ± 0.02 with 11.4, 5.5, 7.4 thousand evaluations for Moser flows."
)


def _modes(method: str, note: str, measure: str, *cells: str) -> Published:
    found = dict(zip(("M=16", "M=32", "M=64"), cells, strict=True))
    return Published(method, "drawn", found, note, measure)


SO3 = (
    _modes("Moser flow", _SO3, "test_ll", "0.82 ± 0.03", "0.12 ± 0.03", "−0.49 ± 0.02"),
    _modes(
        "Moser flow, poster", _SO3_POSTER, "test_ll", "0.85 ± 0.03", "0.17 ± 0.03", "−0.49 ± 0.02"
    ),
    _modes(
        "exp-wrapped score model", _SO3, "test_ll", "0.87 ± 0.04", "0.16 ± 0.03", "−0.58 ± 0.04"
    ),
    _modes("Riemannian score model", _SO3, "test_ll", "0.89 ± 0.03", "0.20 ± 0.03", "−0.49 ± 0.02"),
    _modes("Moser flow", _SO3, "evaluations", "11.4", "5.5", "7.4"),
    _modes("Moser flow, poster", _SO3_POSTER, "evaluations", "2.3 ± 0.5", "2.3 ± 0.9", "7.3 ± 1.4"),
    _modes("exp-wrapped score model", _SO3, "evaluations", "0.5 ± 0.1", "0.5 ± 0.0", "0.5 ± 0.0"),
    _modes("Riemannian score model", _SO3, "evaluations", "0.1 ± 0.0", "0.1 ± 0.0", "0.1 ± 0.0"),
)
"""Mean log-likelihood in nats of points of SO(3), and thousands of network evaluations."""
_ONE_STEP = (
    "One step; biased √MMD with the kernel exp(−d²), n the size of their test set. As printed in "
    "papers of 2026 on flow maps on manifolds; taken from notes on them, not checked against "
    "them. Splits of their own. Flow maps and mean flows lie at or near the floor of n fresh "
    "points, where they can be told neither from fresh data nor from one another."
)


def _one_step(method: str, *cells: str) -> Published:
    names = ("volcano", "earthquake", "flood", "fire")
    found = dict(zip(names, cells, strict=True))
    return Published(method, "published", found, _ONE_STEP, "root_mmd")


SAMPLES = (
    _one_step("flow matching, 1 step", "0.351", "0.309", "0.272", "0.377"),
    _one_step("consistency model", "0.155", "0.053", "0.086", "0.080"),
    _one_step("flow map", "0.115", "0.032", "0.065", "0.027"),
    _one_step("mean flow", "0.092", "0.042", "0.068", "0.042"),
    _one_step("mean flow, another", "0.102", "0.035", "0.048", "0.032"),
)
"""√MMD of draws."""
