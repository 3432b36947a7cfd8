"""What tests of DT-KD share."""

import pytest


@pytest.fixture
def short_search(monkeypatch):
    """Let NumPy's certificate give its search for a bound up soon: the point is judged, or that it does give up."""
    monkeypatch.setattr("radioopt.dtkd.certificate.MOST_DUALS", 20)
