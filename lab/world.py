# SPDX-License-Identifier: Apache-2.0
"""What the lab is made of: network namespaces, links and processes, each recorded so that it can be removed.

A `World` has a name; every namespace, file and process that it makes is written to its state file *before* it is made, and
`destroy()` removes those and nothing else, also in another process and after a crash. A process is only ended if its start
time still fits, so a recycled pid is never hit.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

PATIENCE = float(os.environ.get("WARREN_PATIENCE", 1))  # every time-out is so many times as long (an emulated machine)


class LabError(Exception):
    """Something did not come up or a check failed; the text says what, for the person at the terminal."""


def run(*argv, check=True, timeout=60, stdin=None):
    """Runs a command; returns its CompletedProcess with text output. With CHECK a failure raises with what it printed."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout * PATIENCE,
                          input=stdin)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(map(str, argv))}: exit {done.returncode}: {(done.stderr + done.stdout).strip()}")
    return done


def wait_for(what, predicate, timeout=20.0, interval=0.05):
    """Polls until PREDICATE() is true and returns its value; raises with WHAT (a text or a callable) after TIMEOUT seconds."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"timed out after {timeout:g} s waiting for {what() if callable(what) else what}")
        time.sleep(interval)


def start_time(pid):
    """The kernel's start time of a process, or None when it is gone or a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def netns_list():
    return os.listdir("/run/netns") if os.path.isdir("/run/netns") else []


PINS = pathlib.Path("/sys/fs/bpf/warren")


def pin_name(rundir):
    """What the switch of RUNDIR calls what outlives it."""
    return re.sub("[/.]", "_", str(rundir).lstrip("/"))


class World:
    def __init__(self, name, root="/run"):
        self.name = name
        self.dir = pathlib.Path(root) / f"warren-{name}"
        self.state_file = self.dir / "state.json"
        self.state = {"netns": [], "processes": []}
        if self.state_file.exists():
            self.state = json.loads(self.state_file.read_text())
        self.children = {}
        self.starting = None  # inside together(): what is to be waited for at its end

    def _record(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        part = self.state_file.with_suffix(".part")
        part.write_text(json.dumps(self.state))
        part.replace(self.state_file)

    def netns(self, short):
        """Makes the namespace NAME-SHORT with its loopback up and returns its name."""
        name = f"{self.name}-{short}"
        self.state["netns"].append(name)
        self._record()
        run("ip", "netns", "add", name)
        self.ip(name, "link", "set", "lo", "up")
        return name

    def ip(self, netns, *args):
        return run("ip", "-n", netns, *args)

    def ip_batch(self, netns, commands):
        """COMMANDS of ip, each without that word, by one process."""
        run("ip", "-n", netns, "-batch", "-", stdin="".join(f"{command}\n" for command in commands))

    def sysctl(self, netns, **values):
        if values:
            self.sh(netns, "sysctl", "-qw", *[f"{key.replace('__', '.')}={value}" for key, value in values.items()])

    def sh(self, netns, *argv, check=True, timeout=60):
        """Runs a command inside a namespace."""
        return run("ip", "netns", "exec", netns, *argv, check=check, timeout=timeout)

    def veth(self, ns_a, name_a, ns_b, name_b):
        run("ip", "link", "add", name_a, "netns", ns_a, "type", "veth", "peer", "name", name_b, "netns", ns_b)

    def spawn(self, tag, argv, netns=None, env=None, ready=None, timeout=20.0):
        """Starts a process with its output in TAG.log. READY: a line of its output to wait for. Returns its pid."""
        argv = [str(a) for a in argv]
        if netns:
            # Not `ip netns exec`: that gives a process mounts of its own, and a BPF file system must outlive it.
            argv = ["nsenter", f"--net=/run/netns/{netns}", *argv]
        self.dir.mkdir(parents=True, exist_ok=True)
        log_path = self.dir / f"{tag}.log"
        with open(log_path, "ab") as log:
            seen = log.tell()
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                     env={**os.environ, **(env or {})})
        self.children[child.pid] = child
        self.state["processes"].append({"tag": tag, "pid": child.pid, "start": start_time(child.pid)})
        self._record()

        def is_ready():
            if child.poll() is not None:
                raise LabError(f"{tag} ended with status {child.returncode} while starting: {self.log(tag)[-600:]}")
            return ready in log_path.read_bytes()[seen:].decode(errors="replace").splitlines()

        def wait():
            wait_for(lambda: f"{tag} to say {ready!r}; it said: {self.log(tag)[-600:]}", is_ready, timeout)

        if ready and self.starting is not None:
            self.starting.append(wait)
        elif ready:
            wait()
        return child.pid

    @contextlib.contextmanager
    def together(self):
        """Processes that are spawned inside start side by side: they are waited for at the end."""
        self.starting = started = []
        try:
            yield
        finally:
            self.starting = None
        for wait in started:
            wait()

    def log(self, tag):
        path = self.dir / f"{tag}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def pid(self, tag):
        """The pid of the newest process with that tag that is alive, or None."""
        for process in reversed(self.state["processes"]):
            if process["tag"] == tag and start_time(process["pid"]) == process["start"]:
                return process["pid"]
        return None

    def kill(self, tag, sig=signal.SIGTERM, timeout=10.0):
        """Ends the process TAG and waits until it is gone. Returns its exit status if it was our child."""
        pid = self.pid(tag)
        if pid is None:
            return None
        os.kill(pid, sig)
        child = self.children.get(pid)
        if child:
            return child.wait(timeout * PATIENCE)
        wait_for(f"{tag} to end", lambda: start_time(pid) is None, timeout)
        return None

    def destroy(self):
        """Removes everything that was recorded. Returns what could not be removed, as texts."""
        problems = self._end_all()
        for directory in self._pins():  # of the eBPF datapath; its devices and programs go with the namespaces
            shutil.rmtree(directory, ignore_errors=True)
        names = self._detours() + [name for name in self.state["netns"] if os.path.exists(f"/run/netns/{name}")]
        run("ip", "-force", "-batch", "-", stdin="".join(f"netns del {name}\n" for name in names))
        shutil.rmtree(self.dir, ignore_errors=True)
        self.state = {"netns": [], "processes": []}
        return problems

    def _end_all(self):
        """All processes at once: each may need a moment. Returns those that had to be killed, as texts."""
        problems = []
        alive = [p for p in self.state["processes"] if start_time(p["pid"]) == p["start"]]
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process["pid"], signal.SIGTERM)
        for process in alive:
            tag, pid = process["tag"], process["pid"]
            try:
                wait_for(f"{tag} to end", lambda p=pid: self._gone(p), 10, 0.01)
            except LabError:
                problems.append(f"{tag} (pid {pid}) did not leave on SIGTERM; killed")
                os.kill(pid, signal.SIGKILL)
                wait_for("the killed process", lambda p=pid: self._gone(p), 5)
        return problems

    def _pins(self):
        """Directories of pinned BPF maps of switches whose rundirs are below ours."""
        return [path for path in PINS.iterdir() if path.name.startswith(self._pin_prefix())] if PINS.is_dir() else []

    def _detours(self):
        """Namespaces of detours (docs/architecture.md) of those switches."""
        return [name for name in netns_list() if re.match(r"wr-detour\d-" + re.escape(self._pin_prefix()), name)]

    def _pin_prefix(self):
        return pin_name(self.dir) + "_"

    def _gone(self, pid):
        child = self.children.get(pid)
        if child:
            child.poll()
        return start_time(pid) is None

    def leftovers(self):
        """What of this world still exists: for the proof at a test's end."""
        left = [name for name in netns_list() if name.startswith(self.name + "-")] + self._detours()
        left += [str(path) for path in self._pins()]
        needle = str(self.dir).encode()
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if needle + b"/" in command:
                left.append(f"process {entry}: {command.replace(bytes(1), b' ').decode(errors='replace')}")
        if self.dir.exists():
            left.append(str(self.dir))
        return left
