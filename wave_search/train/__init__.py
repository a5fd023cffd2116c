"""Training by WAVE's recipe. Importing this loads no torch."""
