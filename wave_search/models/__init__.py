"""Models that embed decoded media as vectors. Importing this loads neither torch nor transformers."""

from wave_search.models.base import Embedder, LoadOptions, ModelSpec, check_text
from wave_search.models.catalogue import KnownModel
from wave_search.models.families import Family, register
from wave_search.models.loading import ListedModel, known_models, list_models, load
from wave_search.models.machine import Verdict
from wave_search.models.own import ENTRY_POINTS, CheckedEmbedder
from wave_search.models.sentence_transformers import FAMILY as SENTENCE_TRANSFORMERS
from wave_search.models.sources import model_directory, pull_model, remove_model
from wave_search.models.wave import FAMILY as WAVE

register(WAVE)
register(SENTENCE_TRANSFORMERS)

__all__ = [
    "ENTRY_POINTS",
    "CheckedEmbedder",
    "Embedder",
    "Family",
    "KnownModel",
    "ListedModel",
    "LoadOptions",
    "ModelSpec",
    "Verdict",
    "check_text",
    "known_models",
    "list_models",
    "load",
    "model_directory",
    "pull_model",
    "register",
    "remove_model",
]
