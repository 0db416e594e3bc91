"""The catalogue's case, at a server that has everything."""

from tests.catalogue.conftest import full

__all__ = ["full"]
