"""The commands, one a file: options in, library calls, exit codes out. `wave_search.cli` puts them together."""
