"""The catalogue's case, at a server that has everything; and a mailbox at a server without a line between."""

from tests.catalogue.conftest import full
from tests.engine.conftest import box

__all__ = ["box", "full"]
