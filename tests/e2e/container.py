# SPDX-License-Identifier: Apache-2.0
"""A systemd of the tests' own: a container whose root is this machine's with an overlay on it."""
import contextlib
import os
import pathlib
import re
import signal

from echo import lost_by
from world import World, run, start_time, wait_for

CGROUPS = pathlib.Path("/sys/fs/cgroup")


def payloads():
    return {path for name in ("payload", "supervisor") for path in CGROUPS.rglob(name)}


class Container:
    """FILL is called with the directory whose files come on top of this machine's."""

    def __init__(self, directory, fill):
        self.world = World(f"we{os.getpid() % 10000}systemd", root=directory)
        self.fill = fill
        self.cgroups = payloads()
        self.mounts = contextlib.ExitStack()
        self.leader = None

    def mount(self, kind, where, options="rw"):
        where.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", kind, "-o", options, kind, where)
        self.mounts.callback(run, "umount", where)

    def up(self):
        layers, root, bpf = (self.world.dir / name for name in ("layers", "root", "bpf"))
        self.mount("tmpfs", layers)
        upper, work = layers / "upper", layers / "work"
        work.mkdir()
        self.fill(upper)
        self.mount("overlay", root, f"lowerdir=/,upperdir={upper},workdir={work}")
        self.mount("bpf", bpf)
        # Not multi-user.target: nothing that is set up on this machine is to be started.
        nspawn = self.world.spawn("container", [
            "systemd-nspawn", "--register=no", "--keep-unit", f"--machine={self.world.name}", "--link-journal=no", "-D", root,
            "--private-network", "--capability=all", "--system-call-filter=bpf", f"--bind={bpf}:/sys/fs/bpf", "--console=pipe",
            "--boot", "systemd.unit=basic.target"], env={"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"})
        wait_for("the container's first process", lambda: self.find_leader(nspawn))
        wait_for("its systemd", lambda: self.sh("systemctl", "is-active", "basic.target", check=False).stdout == "active\n")

    def options(self, unit, options):
        self.sh("tee", f"/etc/default/{unit}", stdin=f'OPTIONS="{options}"\n')

    def find_leader(self, nspawn):
        for pid in run("ps", "-o", "pid=", "--ppid", nspawn, check=False).stdout.split():
            with contextlib.suppress(FileNotFoundError):  # one of those that prepare it
                if re.search(rf"NSpid:\s+{pid}\s+1\n", pathlib.Path(f"/proc/{pid}/status").read_text()):
                    self.leader = pid
        return self.leader

    def inside(self, *argv):
        return ["nsenter", "-t", self.leader, "--all", *argv]

    def sh(self, *argv, **options):
        return run(*self.inside(*argv), **options)

    def show(self, unit, what):
        return self.sh("systemctl", "show", "-P", what, unit).stdout.strip()

    def pid(self, unit):
        return self.show(unit, "MainPID")

    def kill(self, unit):
        """systemd starts it again."""
        before = self.pid(unit)
        self.sh("systemctl", "kill", "-s", "KILL", "--kill-whom=main", unit)
        wait_for(f"{unit} to be back", lambda: self.pid(unit) not in ("0", before) and self.show(unit, "ActiveState") == "active")

    def complaints(self, unit):
        lines = self.sh("journalctl", "-b", "--no-pager", "-o", "cat", "-u", unit).stdout.splitlines()
        return [line for line in lines if re.match("WARN |ERR |.*(WARN|ERR|EMER)\\|", line) or "Sanitizer" in line]

    def stations(self):
        """Two namespaces at the bridge br0, which is made, and a 1 kHz probe from one to the other."""
        self.sh("ovs-vsctl", "add-br", "br0")
        for n in "12":
            self.sh("sh", "-ec", f"""
                ip netns add n{n}
                ip link add p{n} type veth peer name e0 netns n{n}
                ip link set p{n} up
                ip -n n{n} link set e0 up
                ip -n n{n} addr add 10.0.0.{n}/24 dev e0
                ovs-vsctl add-port br0 p{n}""")
        self.world.spawn("probe", self.inside("nsenter", "--net=/run/netns/n1", "ping", "-n", "-i", "0.001", "-W", "1", "10.0.0.2"))
        wait_for("a reply", self.replies)

    def replies(self):
        return self.world.log("probe").count("bytes from")

    def go_on(self):
        want = self.replies() + 2000
        wait_for("2000 more replies", lambda: self.replies() >= want, 60)

    def wait_settled(self):
        """The switch that runs now."""
        wait_for("the switch to have settled", lambda: "is settled" in self.sh(
            "journalctl", "-b", "-o", "cat", f"_PID={self.pid('warren-switchd')}").stdout)

    def end_probe(self):
        """Returns how many requests were lost."""
        self.sh("pkill", "-INT", "ping")
        wait_for("the probe's end", lambda: "packets transmitted" in self.world.log("probe"))
        return lost_by(self.world.log("probe"))

    def down(self):
        """Returns what is left."""
        problems = []
        if self.world.pid("probe"):  # left alone it is stopped by the halt, and what is stopped ends late
            self.end_probe()
        nspawn = self.world.pid("container")
        if nspawn:
            os.kill(nspawn, signal.SIGTERM)
            wait_for("the container to end", lambda: start_time(nspawn) is None, 60)
        self.mounts.close()
        problems += self.world.destroy() + self.world.leftovers()
        for path in sorted(payloads() - self.cgroups, reverse=True):
            for below in sorted((entry for entry in path.rglob("*") if entry.is_dir()), reverse=True):
                below.rmdir()
            path.rmdir()
        return problems
