"""What every store must do, as one suite of tests in parts, cut as the port is."""

from sagalog.testing.contracts.store.contract import StoreContract

__all__ = ["StoreContract"]
