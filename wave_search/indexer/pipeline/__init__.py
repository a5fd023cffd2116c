"""The pipeline of an indexing run: the unit of work for one file, and the stages decode, embed, commit."""
