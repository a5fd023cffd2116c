"""Tests. Sets up numeric libraries before any of them is loaded."""

import os

# On few cores the threads of small work only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# Python says this of libraries once, when it compiles them; the Makefile installs them without.
os.environ["PYTHONWARNINGS"] = "ignore::SyntaxWarning"
