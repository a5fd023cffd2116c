"""What z is: cohorts of typical queries measured when indexing, and scores standardised by them when searching."""

from wave_search.calibration.background import SAMPLE_SIZE, Background, background, background_of
from wave_search.calibration.cohort import is_measured, score_stats

__all__ = ["SAMPLE_SIZE", "Background", "background", "background_of", "is_measured", "score_stats"]
