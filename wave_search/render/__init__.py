"""Results and reports as text, tables, progress bars and export files."""
