"""What several modules of tests share because it takes seconds to make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.tuned import Tuned


@pytest.fixture(scope="session")
def by_default(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A model tuned by the default method; tests leave its folders as they are."""
    from tests.unit.tuned import tuned

    return tuned(tmp_path_factory.mktemp("tuned"))
