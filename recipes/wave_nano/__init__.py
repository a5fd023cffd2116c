"""The training recipe of wave-nano. Not part of the installed package."""
