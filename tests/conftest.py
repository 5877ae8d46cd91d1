# SPDX-License-Identifier: Apache-2.0
"""Shared by the end-to-end tests: clouds that are made and removed, and the proof that nothing is left over."""
import itertools
import os
import pathlib
import sys

import pytest

TREE = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TREE / "lab"), str(TREE / "tests/e2e")]
from cloud import DATAPATH, Cloud  # noqa: E402
from datapaths import DATAPATHS, bpf_refusal  # noqa: E402

BUILD = os.environ.get("WARREN_BUILD", "build")
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=DATAPATHS)
def datapath(request):
    """For cloud_factory(): a test that asks for it runs on each datapath, or on those that it is parametrized with (indirectly)."""
    if request.param == "ebpf" and bpf_refusal():
        pytest.skip(bpf_refusal())
    return None if request.param == "default" else request.param


@pytest.fixture(scope="module")
def cloud_factory(tmp_path_factory):
    """Makes clouds; at the end removes them, and fails if one leaves a process, namespace or file, or logged a warning
    that the test did not allow (`cloud.allowed_warnings`, a list of texts)."""
    made = []

    def make(underlay="4", datapath=None):
        number = next(_numbers)
        root = tmp_path_factory.mktemp("cloud")
        cloud = Cloud(f"we{os.getpid() % 10000}n{number}", BUILD, underlay, root=root)
        # Without one: the switch's default, which warns where it falls back.
        cloud.datapath = datapath or DATAPATH or ("userspace" if bpf_refusal() else None)
        cloud.allowed_warnings = []
        cloud.api_port = 20000 + (os.getpid() * 7 + number) % 12000  # below the ephemeral ports
        made.append(cloud)
        return cloud

    yield make
    complaints = []
    for cloud in made:
        complaints += [line for line in cloud.warnings() if not any(text in line for text in cloud.allowed_warnings)]
        complaints += cloud.down()
        complaints += cloud.world.leftovers()
    assert not complaints, "\n".join(complaints)
