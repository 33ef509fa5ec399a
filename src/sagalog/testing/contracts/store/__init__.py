"""What every store must do, as one suite of tests, divided like the port."""

from sagalog.testing.contracts.store.contract import StoreContract

__all__ = ["StoreContract"]
