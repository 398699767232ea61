"""Jobs, attempts and events, kept."""

from tidewatt.scheduler.store.database import StoreError
from tidewatt.scheduler.store.store import MoveError, Store, Transaction

__all__ = ["MoveError", "Store", "StoreError", "Transaction"]
