"""The commands, one per file: options in, library call, exit code out. `wave_search.cli` assembles them."""
