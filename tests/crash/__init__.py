"""Kill -9 at any moment: what is left must be a committed state, and the rest must follow.

    python -m tests.crash --rounds 1000

Each round copies a small index, lets a process change it by `index`, `remove` and `optimize`, and kills it at a random
moment, or at one of the steps that a commit consists of (`--steps`). Then the index has to open, to hold exactly what
one of the commits left, and to pass `verify`; and what remained to be done must lead to the same content as if nothing
had happened. No model is needed: vectors are made up.
"""
