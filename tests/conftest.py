"""What holds for every test: Hypothesis measures no time, since two cores are shared by all.

Profiles: `quick` (default, by `make test`), `deep` (HYPOTHESIS_PROFILE=deep, for nightly runs),
`same` (by `make mutants`: a few draws, the same each time, so that no verdict is luck).
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", settings.get_profile("quick"), max_examples=5_000)
settings.register_profile(
    "same", settings.get_profile("quick"), max_examples=20, derandomize=True, database=None
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
