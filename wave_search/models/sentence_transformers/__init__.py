"""Models in the layout of sentence-transformers, of any architecture that it knows without code of the publisher.

Importing this loads neither torch nor sentence-transformers.
"""

from wave_search.models.sentence_transformers.family import FAMILY

__all__ = ["FAMILY"]
