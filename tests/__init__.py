"""What holds for all that is run here, before a library for numbers is loaded."""

import os

# On few cores the threads of small work only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# Else the last digits depend on the processor: by more than the golden values allow, on one with AVX-512.
os.environ["MKL_CBWR"] = "AVX2"
