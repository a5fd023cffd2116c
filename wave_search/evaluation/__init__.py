"""How good a model is on a set of data, and what an index loses of it."""
