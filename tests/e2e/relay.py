# SPDX-License-Identifier: Apache-2.0
"""A database or a switch that is slow, in the moment in which a test wants it."""
import contextlib
import os
import socket
import threading
import time


class Relay:
    """A way to a database that can be held up in each direction: `hearing` is cleared while the client is told nothing, `speaking`
    while what it says does not arrive. `asked` is set when it began a transaction. What the client is told takes LATENCY seconds."""

    def __init__(self, path, database, latency=0):
        self.listener, self.database, self.latency, self.sockets = socket.socket(socket.AF_UNIX), str(database), latency, []
        self.hearing, self.speaking, self.asked = threading.Event(), threading.Event(), threading.Event()
        self.hearing.set()
        self.speaking.set()
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            while True:
                client, server = self.listener.accept()[0], socket.socket(socket.AF_UNIX)
                server.connect(self.database)
                self.sockets += [client, server]
                threading.Thread(target=self._carry, args=(client, server, self._spoken), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, self._told), daemon=True).start()
        except OSError:
            pass  # the end

    def _spoken(self, data):
        if b'"transact"' in data:
            self.asked.set()
        self.speaking.wait()

    def _told(self, data):
        time.sleep(self.latency)
        self.hearing.wait()

    @staticmethod
    def _carry(source, sink, before):
        try:
            while data := source.recv(1 << 16):
                before(data)
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.hearing.set()
        self.speaking.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        os.unlink(self.listener.getsockname())
        for s in (self.listener, *self.sockets):
            s.close()
