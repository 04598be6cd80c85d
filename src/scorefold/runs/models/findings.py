"""What the numbers of a model say, in plain words."""

from collections.abc import Mapping

from scorefold._types import ReadOnlyDocument
from scorefold.metrics._verdicts import COPIES, FRESH, UNTOLD
from scorefold.report import Finding
from scorefold.runs.meanings import MEANINGS
from scorefold.runs.models.generalisation import mass_line

_MEMORY = {
    "nearest_ratio": "nearest ratio",
    "copying": "exchange of labels",
    "likelihood_gap": "likelihood gap",
}
_DISTANCES = {
    "mmd": "MMD",
    "energy_distance": "energy distance",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "wasserstein": "Wasserstein distance",
}
_LEAK = 0.01
_MASS = 0.01


def model_findings(metrics: ReadOnlyDocument, leak: float = 0.0) -> list[Finding]:
    """Likelihood against a plain law, mass, copies and differences from fresh data; ``leak``: the
    share of test points that are training points."""
    found = [*_likelihood(metrics), _mass(metrics)]
    if leak > _LEAK:
        found.append(Finding(f"{100 * leak:.0f} % of the test points are training points too, so "
                             "the likelihood rewards memory.", "bad", "leak"))  # fmt: skip
    found += [
        Finding(f"{100 * share:.2g} % of draws have a negative {name}, which no row has: the model "
                "knows no bounds; its logarithm can be fitted.", "bad")
        for name, share in (metrics.get("negative_draws") or {}).items()
    ]  # fmt: skip
    measured = metrics.get("generalisation") or {}
    for names, means in ((_MEMORY, "copying"), (_DISTANCES, "distances")):
        verdicts = {name: measured[name]["verdict"] for name in names if measured.get(name)}
        found += _verdicts(verdicts, names, means)
    return found


def _likelihood(metrics: ReadOnlyDocument) -> list[Finding]:
    nll, plain = metrics["test_nll"], metrics["reference_nll"]
    if nll is None:
        reason = metrics.get("test_nll_reason") or "no reason given"
        return [Finding(f"The likelihood of held-out points could not be measured: {reason}.",
                        "bad", "likelihood")]  # fmt: skip
    if plain is None:
        return [Finding(f"Held-out points have an NLL of {nll:.3f} nats.", "note", "likelihood")]
    error = metrics.get("test_nll_standard_error") or 0.0
    better, law = plain - nll, f"the {metrics['reference'] or 'plain law'}"
    words = f"{abs(better):.2f} ± {error:.2f} nats a point"
    if better > 2.0 * error:
        return [Finding(f"Held-out points are likelier under the model than under {law}, by "
                        f"{words}.", "good", "likelihood")]  # fmt: skip
    if better < -2.0 * error:
        return [Finding(f"Held-out points are LESS likely under the model than under {law}, by "
                        f"{words}: it has learned nothing that holds.", "bad",
                        "likelihood")]  # fmt: skip
    return [Finding(f"Held-out points are about as likely under the model as under {law} (the "
                    f"difference is {words}).", "note", "likelihood")]  # fmt: skip


def _mass(metrics: ReadOnlyDocument) -> Finding:
    value, error = metrics["normalisation"], metrics["normalisation_error"] or 0.0
    if value is None:
        return Finding(f"Whether the density has total mass 1 {mass_line(metrics)}.", "note",
                       "mass")  # fmt: skip
    if abs(value - 1.0) <= _MASS + 4.0 * error:
        return Finding(f"The density has total mass 1: {mass_line(metrics)}.", "good", "mass")
    return Finding(f"The density has NOT total mass 1: {mass_line(metrics)}.", "bad", "mass")


def _verdicts(verdicts: Mapping[str, str], titles: Mapping[str, str], means: str) -> list[Finding]:
    """What departs, a sentence each; and all that does not in one."""
    found, fresh = [], [titles[name] for name, verdict in verdicts.items() if verdict == FRESH]
    for name, verdict in verdicts.items():
        own = name if name in MEANINGS else means
        if verdict == COPIES:
            found.append(Finding(f"Draws COPY training points ({titles[name]}).", "bad", own))
        elif verdict == UNTOLD:
            found.append(Finding(f"Nothing can be told by the {titles[name]}: too few points.",
                                 "note", own))  # fmt: skip
        elif verdict != FRESH:
            found.append(Finding(f"Draws depart from fresh data ({titles[name]}): {verdict}.",
                                 "bad", own))  # fmt: skip
    if fresh:
        what = "no copies are found" if means == "copying" else "draws look like fresh data"
        found.append(Finding(f"By {', '.join(fresh)}, {what}.", "good", means))
    return found
