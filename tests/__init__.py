"""Tests. Sets up numeric libraries before any of them is loaded."""

import os

# On few cores the threads of small work only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
