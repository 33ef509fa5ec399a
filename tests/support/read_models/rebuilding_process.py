"""Rebuilds the order book beside the live one, step by step: python -m read_models.rebuilding_process DATABASE WAY."""

import sys

from databases.stores import opened
from read_models.order_book import following, order_book

from sagalog.clock import SystemClock
from sagalog.engine.projections.generations import begin

if __name__ == "__main__":
    book = order_book(batch=5, inline=sys.argv[2] == "inline")
    with opened(sys.argv[1]) as store, following(book, store, clock=SystemClock()) as projecting:
        row = begin(projecting)
        while True:
            turned = projecting.turn(row.generation).row
            if turned is not None:
                print(turned.position, flush=True)
