"""Calibration: from cosines to z, which compares across queries and modalities.

When indexing, a cohort of typical queries is scored on each partition (`score_stats`). When searching, the background
distribution of a query (`Background`) is estimated from its scores on a sample of the partition and these statistics.
"""

from wave_search.calibration.background import SAMPLE_SIZE, Background, fit_lower_half
from wave_search.calibration.cohort import cohort_stats, is_measured, score_stats

__all__ = ["SAMPLE_SIZE", "Background", "cohort_stats", "fit_lower_half", "is_measured", "score_stats"]
