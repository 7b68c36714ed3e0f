"""One pair of guests for the whole session; without QEMU the lab's tests are skipped, and say why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast, get_args

import pytest

from tests.lab import guest, image
from tests.lab.docker import start_engine
from tests.lab.image import Arch
from tests.lab.pair import Pair, virtual_pair


@pytest.fixture(scope="session")
def arch() -> Arch:
    """The guests' architecture: SPARKDOCTOR_LAB_ARCH, arm64 unless it says amd64."""
    asked = os.environ.get("SPARKDOCTOR_LAB_ARCH", "arm64")
    assert asked in get_args(Arch), f"SPARKDOCTOR_LAB_ARCH is {asked!r}, known are {get_args(Arch)}"
    return cast(Arch, asked)


@pytest.fixture(scope="session")
def running_pair(arch: Arch) -> Iterator[Pair]:
    lacking = [*image.missing_programs(), *guest.missing_programs(arch)]
    if lacking:
        pytest.skip(f"the lab needs {', '.join(lacking)}")
    with virtual_pair(arch) as pair:
        yield pair


@pytest.fixture
def pair(running_pair: Pair) -> Iterator[Pair]:
    """The two guests, in their healthy state before and after each test."""
    yield running_pair
    running_pair.reset()


@pytest.fixture
def docker_pair(pair: Pair) -> Pair:
    """The pair with a Docker engine on both nodes."""
    with ThreadPoolExecutor() as both:
        list(both.map(start_engine, pair))
    return pair
