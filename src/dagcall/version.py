"""The version of this package: a module of its own, so that every part can tell it without importing the others."""

__version__ = "0.1.0"
