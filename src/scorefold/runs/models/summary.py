"""Several seeds as one: means, spreads and verdicts; and the lines of a run in a terminal."""

from collections.abc import Mapping, Sequence

import numpy as np

from scorefold._types import Document, ReadOnlyDocument
from scorefold.metrics._verdicts import COPIES, FRESH, UNTOLD
from scorefold.runs.models.generalisation import mass_line
from scorefold.runs.models.measures import MEASURES


def summary(documents: Sequence[Document]) -> Document:
    """One document for several seeds: means and standard deviations over those in which a number
    could be measured, the worst verdict of each measure with its count, and the parts."""
    out = dict(documents[0])
    out.pop("model_sha256", None)
    if "seed" in out:
        out["seed"] = [d["seed"] for d in documents]
    for name in documents[0]:
        values = [d.get(name) for d in documents]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        same = all(v == values[0] and isinstance(v, int) for v in values)
        known = name != "seed" and not same and len(numbers) + values.count(None) == len(values)
        if numbers and known:
            out[name] = float(np.mean(numbers))
            out[f"{name}_std"] = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None
            if len(numbers) < len(values):
                out[f"{name}_reason"] = f"measured in {len(numbers)} of {len(values)} seeds"
    if "generalisation" in out:
        out["generalisation"] = verdict_summary([d["generalisation"] for d in documents])
    if "warnings" in out:
        out["warnings"] = list(dict.fromkeys(w for d in documents for w in d["warnings"]))
    out["runs"] = list(documents)
    return out


def verdict_summary(found: Sequence[ReadOnlyDocument | None]) -> Document:
    """For each measure its verdict in every seed (None where it was not measured), the worst of
    them (copies, then all else that departs from fresh data, then what cannot be told), and in how
    many seeds it departs."""
    parts = [{k: v["verdict"] for k, v in f.items() if isinstance(v, Mapping) and "verdict" in v}
             if f else {} for f in found]  # fmt: skip
    out = {}
    for name in dict.fromkeys(k for part in parts for k in part):
        verdicts = [part.get(name) for part in parts]
        known = [v for v in verdicts if v is not None]
        out[name] = {
            "verdict": max(known, key=_badness),
            "departing": sum(_badness(v) > 1 for v in known),
            "of": len(known),
            "verdicts": verdicts,
        }
    return out


def _badness(verdict: str) -> int:
    return {FRESH: 0, UNTOLD: 1, COPIES: 3}.get(verdict, 2)


def run_lines(metrics: ReadOnlyDocument) -> list[tuple[str, str]]:
    """The numbers of a run, or of several seeds, for a terminal."""
    return [
        ("test NLL",
         f"{_number(metrics, 'test_nll')} nats, {metrics['n_test']:g} points{_worth(metrics)}"),
        ("validation NLL", f"{_number(metrics, 'val_nll')} nats"),
        (metrics["reference"] or "plain law",
         f"{_number(metrics, 'reference_nll')} nats, to be beaten by the test NLL"),
        ("total mass",
         _number(metrics, "normalisation") if "runs" in metrics else mass_line(metrics)),
        ("evaluations", f"{_number(metrics, 'nfe', 0)} a likelihood"),
        *_distilled_lines(metrics),
        *_form_lines(metrics),
        *verdict_lines(metrics.get("generalisation")),
        *((measure.title, _number(metrics, measure.names[0]))
          for measure in MEASURES.values() if measure.title),
        ("time", f"{metrics['compile_seconds'] + metrics['train_seconds']:.1f} s for "
                 f"{metrics['steps']:.0f} steps, {metrics['compile_seconds']:.1f} s of it "
                 "compiling"),
    ]  # fmt: skip


def _worth(metrics: ReadOnlyDocument) -> str:
    """Of how many points of equal weight those with weights are worth."""
    effective = metrics.get("n_test_effective")
    return "" if effective is None else f" (worth {effective:.1f} alike)"


def _distilled_lines(metrics: ReadOnlyDocument) -> list[tuple[str, str]]:
    """Whose density is stated, where it is not that of the draws, and how far these are from it."""
    if "density_of" not in metrics:
        return []
    return [
        ("density", f"of {metrics['density_of']}, and not of the draws"),
        ("draws", f"in one step W₂ ≤ {_number(metrics, 'map_error')} from it "
                  f"({_number(metrics, 'map_error_floor')} of what they learned from)"),
    ]  # fmt: skip


def _form_lines(metrics: ReadOnlyDocument) -> list[tuple[str, str]]:
    """Of kernels whose covariances are not full ones."""
    if metrics.get("form") is None:
        return []
    return [("kernels", f"with covariances of {metrics['form']}: full ones would be too large")]


def _number(metrics: ReadOnlyDocument, name: str, digits: int = 4) -> str:
    if metrics.get(name) is None:
        reason = metrics.get(f"{name}_reason")
        return "not measured" + (f" ({reason})" if reason else "")
    std = metrics.get(f"{name}_std") if "runs" in metrics and digits else None
    spread = "" if std is None else f" ± {std:.{digits - 1}f} (std over seeds)"
    return f"{metrics[name]:.{digits}f}{spread}"


def verdict_lines(found: ReadOnlyDocument | None) -> list[tuple[str, str]]:
    """What departs from fresh data, a line each, or one line that says nothing does."""
    if found is None:
        return [("generalisation", "not measured")]
    parts = {k: v for k, v in found.items() if isinstance(v, Mapping) and "verdict" in v}
    odd = [
        f"{name.replace('_', ' ')}: {part['verdict']}"
        + (f" ({part['departing']} of {part['of']} seeds)" if "departing" in part else "")
        for name, part in parts.items()
        if part["verdict"] != FRESH
    ]
    seeds = " in every seed" if any("departing" in p for p in parts.values()) else ""
    return [("generalisation", f"{len(parts) - len(odd)} of {len(parts)} measures {FRESH}{seeds}"),
            *(("", line) for line in odd)]  # fmt: skip
