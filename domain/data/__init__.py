"""The files shipped with the shop, and how they are read; `domain.sample` writes them, not this."""

from pathlib import Path

import msgspec

from domain.ordering.messages import Order

ORDERS_PATH = Path(__file__).with_name("orders.jsonl")
STOCK_PATH = Path(__file__).with_name("stock.jsonl")


class StockLine(msgspec.Struct, frozen=True):
    """One line of a stock file."""

    sku: str
    quantity: int


def opening_stock(path: Path = STOCK_PATH) -> dict[str, tuple[str, int]]:
    """Read a stock file as deliveries for `Inventory.receive_all`, each with a key of its own."""
    lines = msgspec.json.Decoder(StockLine).decode_lines(path.read_bytes())
    return {f"opening:{line.sku}": (line.sku, line.quantity) for line in lines}


def read_orders(path: Path = ORDERS_PATH) -> list[Order]:
    """Read a file of orders, one JSON object a line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Order.model_validate_json(line) for line in lines]
