"""What every store must do, as one suite of tests; it uses only the port `sagalog.store.Store`.

Test your own store with a subclass and two fixtures (pytest is needed, and not imported here):

    pytest.register_assert_rewrite("sagalog.testing")
    from sagalog.testing.contracts.store import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self): ...       # an open store on an empty database; closed after the test
        @pytest.fixture
        def peer(self, store): ... # another open store on the same database, as another process would have it
                                   # (a store that lives in one process gives `store` itself)
"""

from sagalog.testing.contracts.store.appending import AppendingContract
from sagalog.testing.contracts.store.attributes import AttributeContract
from sagalog.testing.contracts.store.claiming import ClaimingContract
from sagalog.testing.contracts.store.consumers import ConsumerContract
from sagalog.testing.contracts.store.filtering import FilteringContract
from sagalog.testing.contracts.store.finding import FindingContract
from sagalog.testing.contracts.store.inbox import InboxContract
from sagalog.testing.contracts.store.jobs import JobContract
from sagalog.testing.contracts.store.leases import LeaseContract
from sagalog.testing.contracts.store.messages import MessageContract
from sagalog.testing.contracts.store.reading import ReadingContract
from sagalog.testing.contracts.store.signs import SignContract


class StoreContract(
    AppendingContract,
    ReadingContract,
    FindingContract,
    FilteringContract,
    AttributeContract,
    ClaimingContract,
    LeaseContract,
    SignContract,
    MessageContract,
    InboxContract,
    ConsumerContract,
    JobContract,
):
    """Every rule of the port; set `hints` to False for a store that never calls hints, `signs` if none shows life."""
