"""Every projection of the shop can rebuild one order alone: orders each way, some that fail, some that are returned."""

from pathlib import Path
from random import Random

import pytest
from databases.stores import migrated_database, opened
from sagas.earlier_moments import orders_taken
from sagas.greeting import run
from sagas.shop import Shop

from projections import projections
from sagalog.projections import Projection
from sagalog.testing.read_models import projected


@pytest.fixture(scope="module")
def shop_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("shop")
    database = migrated_database("sqlite", folder, request)
    assert isinstance(database, str)

    async def story() -> None:
        with Shop() as shop:
            async with orders_taken(database, Random(11), 25, shop):
                pass

    run(story())
    return database


@pytest.mark.parametrize("projection", projections, ids=lambda one: one.name)
def test_each_order_rebuilt_alone_leaves_all_rows_as_they_are(projection: Projection, shop_file: str) -> None:
    with opened(shop_file) as store:
        rows = projected(projection, store)
    assert projection.forgetting
    assert projection.name == "open-sagas" or all(rows.values())
