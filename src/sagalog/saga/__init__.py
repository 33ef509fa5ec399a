"""The kernel: sagas as data and pure functions over them. No I/O, clock, randomness or asyncio in this package."""
