"""Models that embed decoded media as vectors. Importing this loads neither torch nor transformers."""

from wave_search.models.base import Embedder, Family, LoadOptions, ModelSpec, check_text, known_models, load, register
from wave_search.models.own import ENTRY_POINTS, CheckedEmbedder
from wave_search.models.wave import FAMILY, directory_of

register(FAMILY)

__all__ = [
    "ENTRY_POINTS",
    "CheckedEmbedder",
    "Embedder",
    "Family",
    "LoadOptions",
    "ModelSpec",
    "check_text",
    "directory_of",
    "known_models",
    "load",
    "register",
]
