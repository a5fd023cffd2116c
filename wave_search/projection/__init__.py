"""Vectors as points of a map: neighbours stay near each other."""

from wave_search.projection.project import Method, Projection, preferred_method, project

__all__ = ["Method", "Projection", "preferred_method", "project"]
