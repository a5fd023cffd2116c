"""The documents, tested: their commands and examples are run, their links and names checked."""
