# SPDX-License-Identifier: Apache-2.0
"""The distribution's `openstack` client, whose imports take longer than most commands: they are made once, by a process that a
fork of runs each command."""
import multiprocessing
import os
import subprocess
import sys
import tempfile

CLIENT = "openstackclient.shell"
USED = ["network", "subnet", "port", "network_agent"]  # its modules are imported when a command needs them


def _become(argv, stdout, stderr):
    import openstackclient.shell
    for path, fd in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_WRONLY), fd)
    sys.argv = ["openstack", *argv]
    sys.exit(openstackclient.shell.main(argv))


class OpenstackClient:
    def __init__(self, *options):
        self.options = options
        self.forks = multiprocessing.get_context("forkserver")
        self.forks.set_forkserver_preload([CLIENT, "openstackclient.network.client", "openstack.connection",
                                           *(f"openstackclient.network.v2.{name}" for name in USED)])

    def __call__(self, *args, timeout=60):
        """A CompletedProcess with text output."""
        argv = [*self.options, *args]
        with tempfile.NamedTemporaryFile("r") as stdout, tempfile.NamedTemporaryFile("r") as stderr:
            process = self.forks.Process(target=_become, args=(argv, stdout.name, stderr.name))
            process.start()
            process.join(timeout)
            if process.exitcode is None:
                process.kill()
                raise TimeoutError(f"openstack {' '.join(args)}: {stderr.read()}")
            return subprocess.CompletedProcess(argv, process.exitcode, stdout.read(), stderr.read())
