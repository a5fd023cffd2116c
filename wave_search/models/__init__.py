"""Models that embed decoded media as vectors. Importing this loads neither torch nor transformers."""

from typing import TYPE_CHECKING

from wave_search.lazy import lazy_names
from wave_search.models.base import Embedder, LoadOptions, ModelSpec, check_text

if TYPE_CHECKING:
    from wave_search.models.catalogue import KnownModel
    from wave_search.models.families import Family, register
    from wave_search.models.loading import ListedModel, known_models, list_models, load
    from wave_search.models.machine import Verdict
    from wave_search.models.own import ENTRY_POINTS, CheckedEmbedder
    from wave_search.models.sources import model_directory, pull_model, remove_model

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

# A search in an index needs the description of its model, and seldom the model.
__getattr__ = lazy_names(
    __name__,
    {
        "catalogue": "KnownModel",
        "families": "Family register",
        "loading": "ListedModel known_models list_models load",
        "machine": "Verdict",
        "own": "ENTRY_POINTS CheckedEmbedder",
        "sources": "model_directory pull_model remove_model",
    },
)
