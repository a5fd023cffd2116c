"""Readers of evaluation data sets, one for each layout."""
