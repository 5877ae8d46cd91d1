# SPDX-License-Identifier: Apache-2.0
"""Shared by the end-to-end tests: clouds that are made and removed, and the proof that nothing is left over.

Modules may run side by side (pytest-xdist, `-n 2 --dist loadscope`): nothing that a cloud has is another's. A test marked `alone`,
because it times something or counts what is lost, has the machine to itself meanwhile.
"""
import contextlib
import fcntl
import itertools
import os
import pathlib
import socket
import sys

import pytest

TREE = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TREE / "lab"), str(TREE / "tests/e2e")]
from cloud import DATAPATH, Cloud  # noqa: E402
from datapaths import DATAPATHS, bpf_refusal, need_bpf  # noqa: E402

BUILD = os.environ.get("WARREN_BUILD", "build")
_numbers = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: no test of another worker runs at the same time")


@contextlib.contextmanager
def turn(directory, alone):
    """Many may have a turn at once, or one that is to be alone."""
    with open(directory / "gate", "w") as gate, open(directory / "tests", "w") as tests:
        fcntl.flock(gate, fcntl.LOCK_EX)  # nobody else begins while one waits to be alone
        fcntl.flock(tests, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Fixtures included, also those of the module."""
    if not hasattr(item.config, "workerinput"):  # the only one there is
        yield
        return
    shared = pathlib.Path(item.config.option.basetemp).parent  # of all workers
    with turn(shared, item.get_closest_marker("alone") is not None):
        yield


def free_port(first):
    """From FIRST on, below the ephemeral ports."""
    for port in itertools.chain(range(first, 32000), range(20000, first)):
        with socket.socket() as s:
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                return port
    raise RuntimeError("no port is free")


@pytest.fixture(scope="module", params=DATAPATHS)
def datapath(request):
    """For cloud_factory(): a test that asks for it runs on each datapath, or on those that it is parametrized with (indirectly)."""
    if request.param == "ebpf":
        need_bpf()
    return None if request.param == "default" else request.param


_made = []


def remove_clouds(first):
    """Those that were made since there were FIRST."""
    complaints = []
    while len(_made) > first:
        cloud = _made.pop()
        complaints += [line for line in cloud.warnings() if not any(text in line for text in cloud.allowed_warnings)]
        complaints += cloud.down()
        complaints += cloud.world.leftovers()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(autouse=True)
def own_clouds():
    """A test's own clouds go with it; those of its module's fixtures, which were there before, with the module."""
    first = len(_made)
    yield
    remove_clouds(first)


@pytest.fixture(scope="module")
def cloud_factory(tmp_path_factory):
    """Makes clouds; at the end removes them, and fails if one leaves a process, namespace or file, or logged a warning
    that the test did not allow (`cloud.allowed_warnings`, a list of texts)."""
    first = len(_made)

    def make(underlay="4", datapath=None):
        number = next(_numbers)
        root = tmp_path_factory.mktemp("cloud")
        cloud = Cloud(f"we{os.getpid() % 10000}n{number}", BUILD, underlay, root=root)
        # Without one: the switch's default, which warns where it falls back.
        cloud.datapath = datapath or DATAPATH or ("userspace" if bpf_refusal() else None)
        cloud.allowed_warnings = []
        cloud.api_port = free_port(20000 + (os.getpid() * 97 + number) % 12000)
        _made.append(cloud)
        return cloud

    make.remove = lambda cloud: remove_clouds(_made.index(cloud))  # and those after it: for fixtures that make one after another
    yield make
    remove_clouds(first)
