"""The commands, one per file: options in, library call, exit code out. `wave_search.cli` assembles them."""

DEFAULT_INDEX = ".wave-search"
"""The folder of the index, unless an option or a variable names another one."""
INDEX_VARIABLE = "WAVE_SEARCH_INDEX"
