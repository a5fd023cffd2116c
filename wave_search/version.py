"""The version of the package. Client and server compare it, as do the command line and a server that it asks."""

__version__ = "0.1.0"
