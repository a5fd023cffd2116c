"""Readers of data sets, one per format. Fine-tuning shares those for rows and for WAVE's JSON."""
