"""Code that only mypy reads: it states the types of the public functions, and which arguments are wrong."""
