"""BibTeX of what a model, a bridge or a run is built on."""

from scorefold.citations.sources import citations, references, sources_of

__all__ = ["citations", "references", "sources_of"]
