# SPDX-License-Identifier: Apache-2.0
"""Which datapaths the tests run on. Whether BPF is permitted is asked of the kernel, with a program of two instructions: a
switch whose programs the kernel refuses although it takes others is not to be mistaken for that."""
import ctypes
import errno
import functools
import os
import platform
import re
import struct

import pytest

DATAPATHS = ("ebpf", "userspace")
OLDEST_KERNEL = (6, 1)
SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
BPF_PROG_LOAD, SCHED_CLS = 5, 3

# A test that no datapath can make a difference to, of a module that runs on each: once, on the switch's default.
one_datapath = pytest.mark.parametrize("datapath", ["default"], indirect=True)


def need_bpf():
    """Skips where the eBPF datapath cannot run."""
    if bpf_refusal():
        pytest.skip(bpf_refusal())


def kernel_since(*version):
    return tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2]) >= version


@functools.cache
def bpf_refusal():
    """Why the eBPF datapath cannot run here, or None."""
    if not kernel_since(*OLDEST_KERNEL):
        return f"Linux {platform.release()} is older than 6.1"
    if platform.machine() not in SYSCALL:
        return None
    code = struct.pack("<BBhiBBhi", 0xb7, 0, 0, 0, 0x95, 0, 0, 0)  # r0 = 0; exit
    program, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack("IIQQ", SCHED_CLS, len(code) // 8, ctypes.addressof(program), ctypes.addressof(licence))
    attributes = ctypes.create_string_buffer(attributes.ljust(72, b"\0"), 72)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYSCALL[platform.machine()], BPF_PROG_LOAD, attributes, 72)
    if fd < 0:
        return f"BPF programs may not be loaded: {errno.errorcode.get(ctypes.get_errno(), ctypes.get_errno())}"
    os.close(fd)
    return None
