"""Compares the model with numbers of the published implementation: `python -m tests.golden DIR`.

A folder of such numbers holds `config_tiny.json`, `golden_gen.py` (makes weights and inputs from seeds),
`weights_manifest.json`, `cases.json` with `cases/*.npz`, `tables.json` and `tables.npz`.
"""
