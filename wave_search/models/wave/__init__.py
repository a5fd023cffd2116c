"""The WAVE model (arXiv:2509.21990): checkpoint, towers, decoder, fusion head, and the embedder that drives them.

Importing this loads neither torch nor transformers.
"""

from wave_search.models.wave.family import FAMILY

__all__ = ["FAMILY"]
