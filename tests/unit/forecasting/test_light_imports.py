"""Looking up a zone, or importing the package, loads no numbers library: the command line starts with it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("from tidewatt.forecasting.zones import zone; zone('CISO')", "numpy pandas pyarrow structlog"),
        ("from tidewatt.forecasting import ForecastError, Signal, Zone", "numpy pandas pyarrow structlog"),
        ("from tidewatt.forecasting import sources", "pandas pyarrow sklearn sqlalchemy structlog"),
    ],
)
def test_it_loads_only_what_it_needs(statement: str, unwanted: str) -> None:
    check = f"import sys; {statement}; print([m for m in '{unwanted}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_come_from_the_package() -> None:
    import tidewatt.forecasting as forecasting

    assert all(getattr(forecasting, name) for name in forecasting.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Oracle'"):
        _ = forecasting.Oracle
