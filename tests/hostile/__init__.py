"""Hostile inputs, and what must not happen with any of them.

    python -m tests.hostile --seed 1 --inputs 10000 --kills 1000

Input `n` of a seed is always the same: a file that is damaged on purpose, a name, link or file system that gets in the
way, an index folder, a model or a table from someone else, or thirty requests to the server. Inputs are indexed, opened
or answered in a child process whose home folder is a decoy. Whatever the input is, the work has to end normally and
within a minute, each file has to be indexed or named with a cause and a remedy, and nothing outside of the index may be
changed.

Violations are kept in build/hostile/, each with the command that repeats it.
"""

import os

# A process that is forked must have no other threads.
os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
