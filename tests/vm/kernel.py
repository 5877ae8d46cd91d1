#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make test-kernel [KERNEL=6.1] [TESTS=...]: the fast path under another kernel than this machine's, in a virtual machine.

Debian's kernel package of the asked version is fetched by apt and unpacked (never installed), and booted by qemu, in
software unless --kvm is given. The machine's root is this host's own, read-only, under a layer of memory, so
what runs there is the tree's build and the tools that are installed here. Inside, guest.py checks; each of its lines begins
with PASS or FAIL, and the exit status is 0 if all passed.
"""
import argparse
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading

TREE = pathlib.Path(__file__).resolve().parents[2]
MACHINES = {"x86_64": ("amd64", "qemu-system-x86_64", "max,la57=off")}  # Debian's name, the emulator, the CPU
# What the kernel needs before it has its root; what those need comes from modules.dep.
BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
STATUS = re.compile(r"^guest\.py: exit (\d+)$")


def run(*argv, **kwargs):
    return subprocess.run([str(word) for word in argv], check=True, text=True, **kwargs)


def numbers(text):
    return [int(n) for n in re.findall(r"\d+", text)]


def find_package(version, arch):
    """The name of the newest plain kernel package of VERSION (as 6.1) that apt knows."""
    pattern = rf"^linux-image-{re.escape(version)}\.[0-9][^-]*(-[0-9]+)?-{arch}$"
    found = run("apt-cache", "pkgnames", "linux-image-", capture_output=True).stdout.split()
    found = [name for name in found if re.match(pattern, name) and "Filename:" in
             run("apt-cache", "show", "--no-all-versions", name, capture_output=True).stdout]
    if not found:
        sys.exit(f"kernel.py: apt knows no kernel package {version} for {arch} (6.1 and 6.12 are in Debian 12 and its "
                 "security updates; is `apt-get update` needed?)")
    return max(found, key=numbers)


def unpack(version, arch, cache):
    """Returns the directory of the unpacked package."""
    package = find_package(version, arch)
    into = cache / package
    if not (into / "done").exists():
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        print(f"fetching {package}", flush=True)
        run("apt-get", "-qq", "download", package, cwd=into, stderr=subprocess.DEVNULL)
        deb = next(into.glob("*.deb"))
        run("dpkg-deb", "-x", deb, into)
        deb.unlink()
        run("depmod", "-b", into, release_of(into))
        (into / "done").touch()
    return into


def release_of(unpacked):
    return next((unpacked / "lib/modules").iterdir()).name


def boot_modules(modules):
    """Paths below MODULES of BOOT_MODULES and what they need, in the order of loading. Those built in have none."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    by_name = {pathlib.Path(path).name.split(".")[0]: path for path in needs}
    order = []
    for name in BOOT_MODULES:
        path = by_name.get(name)
        for wanted in [*reversed(needs[path]), path] if path else []:
            if wanted not in order:
                order.append(wanted)
    return order


def plain_module(source, target):
    """Copies a module, unpacked: busybox's insmod knows no compression."""
    if source.suffix == ".xz":
        with open(target, "wb") as out:
            subprocess.run(["xz", "-dc", source], check=True, stdout=out)
    else:
        shutil.copy(source, target)


def make_initramfs(work, modules, settings):
    root = work / "initramfs"
    shutil.rmtree(root, ignore_errors=True)
    for directory in ("bin", "etc", "modules"):
        (root / directory).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    shutil.copy(TREE / "tests/vm/init", root / "init")
    (root / "init").chmod(0o755)
    names = []
    for path in boot_modules(modules):
        names.append(pathlib.Path(path).name.removesuffix(".xz"))
        plain_module(modules / path, root / "modules" / names[-1])
    settings = {**settings, "MODULES": " ".join(names)}
    (root / "etc/vm-settings").write_text("".join(f"{key}='{value}'\n" for key, value in settings.items()))
    files = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    image = work / "initramfs.cpio"
    with open(image, "wb") as out:
        subprocess.run(["/bin/busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=files.encode() + b"\n", stdout=out,
                       stderr=subprocess.DEVNULL, check=True)
    return image


def boot(emulator, cpu, unpacked, image, work, timeout, kvm):
    """Runs the machine to its end, its second serial line on our output. Returns guest.py's exit status, None: it had none."""
    modules = unpacked / "lib/modules" / release_of(unpacked)
    # Threads of their own run code that another processor has just patched (an int3 that the kernel no longer expects: 6.12).
    argv = [emulator, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-accel",
            "kvm" if kvm else "tcg,thread=single", "-cpu", cpu, "-smp", str(min(os.cpu_count(), 4)), "-m", "4G",
            "-kernel", next((unpacked / "boot").glob("vmlinuz-*")), "-initrd", image,
            "-append", "console=ttyS0 panic=-1 loglevel=4 mitigations=off",
            "-serial", f"file:{work}/console.log", "-serial", "stdio", "-monitor", "none",
            "-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
            "-virtfs", f"local,path={modules},mount_tag=modules,security_model=none,readonly=on"]
    status = None
    with subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=open(work / "qemu.log", "wb")) as machine:
        alarm = threading.Timer(timeout, machine.kill)
        alarm.start()
        try:
            for line in machine.stdout:
                line = line.decode(errors="replace").rstrip()
                found = STATUS.match(line)
                status = int(found[1]) if found else status
                print(line, flush=True)
        finally:
            alarm.cancel()
            machine.kill()
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="6.1", help="its version, as 6.1")
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--timeout", default=3600, type=float, metavar="SECONDS", help="for all of it")
    parser.add_argument("--kvm", action="store_true", help="use the processor itself (which nested virtual machines may not offer)")
    parser.add_argument("tests", nargs="*", help="pytest arguments: run these inside as well, as tests/e2e/test_ebpf.py")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("kernel.py: ended by SIGTERM"))  # and the machine with it
    if platform.machine() not in MACHINES:
        sys.exit(f"kernel.py: knows no virtual machine for {platform.machine()}")
    arch, emulator, cpu = MACHINES[platform.machine()]
    build = args.build.resolve()
    work = build / "vm"
    unpacked = unpack(args.kernel, arch, work)
    words = ["--kernel", args.kernel, "--build", build, *(["--", *args.tests] if args.tests else [])]
    if any(re.search(r"[\s']", str(word)) for word in (*words, TREE)):
        sys.exit("kernel.py: no white space or quotes in paths and arguments, please")
    settings = {"TREE": TREE, "RELEASE": release_of(unpacked), "ARGS": " ".join(map(str, words))}
    image = make_initramfs(work, unpacked / "lib/modules" / release_of(unpacked), settings)
    status = boot(emulator, cpu, unpacked, image, work, args.timeout, args.kvm)
    if status is None:
        print(f"FAIL the machine ended before its checks (or after {args.timeout:g} s); its console:")
        print((work / "console.log").read_text(errors="replace")[-3000:], (work / "qemu.log").read_text(errors="replace"))
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
