"""Tests. Sets up numeric libraries before any of them is loaded."""

import os

# On few cores the threads of small work only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# The same code path on every processor: with AVX-512, spectra differ by more than the golden values allow.
os.environ["MKL_CBWR"] = "AVX2"
