"""What holds for all tests, before any of them imports torch."""

from __future__ import annotations

import os

# As many tests at a time as there are cores: a second thread of one would wait for a core while it
# spins. Tests of threads set what they need.
os.environ.setdefault("OMP_NUM_THREADS", "1")
