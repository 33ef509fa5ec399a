"""What every transport must do, as one suite of tests."""

from sagalog.testing.contracts.transport.contract import TransportContract

__all__ = ["TransportContract"]
