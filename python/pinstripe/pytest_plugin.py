"""Fixtures for pytest, where they are asked for: `pytest_plugins = ["pinstripe.pytest_plugin"]`, or -p.

    def test_refund(stripe_client): ...

`stripe_sandbox` is a sandbox of the test's own, `stripe_client` a client of it."""

import pytest

import pinstripe


@pytest.fixture
def stripe_sandbox():
    with pinstripe.sandbox(seed=1) as sandbox:
        yield sandbox


@pytest.fixture
def stripe_client(stripe_sandbox):
    return stripe_sandbox.client()
