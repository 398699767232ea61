"""Jobs, attempts and events, kept."""

from tidewatt.scheduler.store.database import StoreError
from tidewatt.scheduler.store.store import Store
from tidewatt.scheduler.store.transaction import MoveError, Transaction

__all__ = ["MoveError", "Store", "StoreError", "Transaction"]
