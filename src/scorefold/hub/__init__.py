"""Folders in the shape of the Hugging Face Hub: weights, ``config.json``, a model card.

    from scorefold.hub import load_pretrained, save_pretrained

    save_pretrained(model, "flood-kernels", card=model_card(model, "Floods", licence="cc-by-4.0"))
    model = load_pretrained("flood-kernels")

Nothing here uses the network: the Hub's own tools upload and download folders.
"""

from scorefold.hub.card import model_card
from scorefold.hub.pretrained import CONFIG, load_pretrained, save_pretrained

__all__ = ["CONFIG", "load_pretrained", "model_card", "save_pretrained"]
