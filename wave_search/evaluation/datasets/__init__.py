"""Readers of data sets, one for each format. Fine-tuning uses those of rows and of WAVE's JSON, too."""
