"""The stages of an indexing run: decode, embed, commit."""
