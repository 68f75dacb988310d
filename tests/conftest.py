"""What holds for all tests, before any of them imports torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.unit.tuned import Tuned

# As many tests at a time as there are cores: a second thread of one would wait for a core while it
# spins. Tests of threads set what they need.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Commands that pages print are found, also where the environment is not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


# A busy machine is no fault of what is tested.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="session")
def by_default(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A model tuned by the default method; tests leave its folders as they are."""
    from tests.unit.tuned import tuned

    return tuned(tmp_path_factory.mktemp("tuned"))
