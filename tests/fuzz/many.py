"""How many examples: a few hundred, the same ones, in `make test`; RAYSWEEP_FUZZ new ones in `make fuzz`."""

import os
from collections.abc import Callable

from hypothesis import HealthCheck, settings

ASKED = int(os.environ.get("RAYSWEEP_FUZZ", "0"))


def many(few: int = 200) -> Callable:
    return settings(
        max_examples=ASKED or few,
        derandomize=not ASKED,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
