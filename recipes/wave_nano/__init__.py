"""How the weights of wave-nano were made. Not part of the installed package."""
