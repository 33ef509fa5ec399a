"""What every store must do, as one suite of tests; it knows the port `sagalog.store.Store` and nothing behind it.

Hold your own store to it with a subclass and two fixtures (pytest is needed, and not imported here):

    pytest.register_assert_rewrite("sagalog.testing")
    from sagalog.testing.store_contract import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self): ...       # an open store on an empty database; closed after the test
        @pytest.fixture
        def peer(self, store): ... # another open store on the same database, as another process would have it
                                   # (a store that lives in one process gives `store` itself)
"""

from sagalog.testing.store_appending import AppendingContract
from sagalog.testing.store_claiming import ClaimingContract
from sagalog.testing.store_consumers import ConsumerContract
from sagalog.testing.store_finding import FindingContract
from sagalog.testing.store_inbox import InboxContract
from sagalog.testing.store_leases import LeaseContract
from sagalog.testing.store_messages import MessageContract
from sagalog.testing.store_reading import ReadingContract


class StoreContract(
    AppendingContract,
    ReadingContract,
    FindingContract,
    ClaimingContract,
    LeaseContract,
    MessageContract,
    InboxContract,
    ConsumerContract,
):
    """Every rule of the port; `hints` is False for a store that cannot call anybody."""
