# SPDX-License-Identifier: Apache-2.0
"""A raw OpenFlow client and controller for tests: bytes in, bytes out, nothing hidden. Messages are (version, type, xid, body)."""
import collections
import os
import select
import socket
import struct
import time

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, FEATURES_REQUEST, FEATURES_REPLY = range(7)
NX, ONF = 0x00002320, 0x4f4e4600
Message = collections.namedtuple("Message", "version type xid body")


def pack(version, kind, xid, body=b""):
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


def hello_bitmap(*versions):
    return struct.pack("!HHI", 1, 8, sum(1 << v for v in versions))


class Conn:
    """One connection of either side. `barriers` etc. use the numbers of the connection's version."""

    def __init__(self, sock, version, hello=True, bitmap=None):
        self.sock, self.version, self.buffer, self.xid = sock, version, b"", 100
        sock.settimeout(5)
        if hello:
            self.sock.sendall(pack(version, HELLO, 1, hello_bitmap(*bitmap) if bitmap else b""))
            self.peer_hello = self.recv()
            assert self.peer_hello.type == HELLO, self.peer_hello

    @classmethod
    def to_unix(cls, path, version, **kwargs):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        sock.connect(str(path))
        return cls(sock, version, **kwargs)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, kind, body=b"", xid=None, version=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.sock.sendall(pack(version or self.version, kind, xid, body))
        return xid

    def send_raw(self, data):
        self.sock.sendall(data)

    def _take(self, n):
        while len(self.buffer) < n:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("closed by the switch")
            self.buffer += data
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def recv(self):
        """The next message; echo requests are answered and passed over."""
        while True:
            version, kind, length, xid = struct.unpack("!BBHI", self._take(8))
            body = self._take(length - 8)
            if kind == ECHO_REQUEST and xid != 0xffffffff:
                self.sock.sendall(pack(version, ECHO_REPLY, xid, body))
                continue
            return Message(version, kind, xid, body)

    @property
    def barrier_types(self):
        return (18, 19) if self.version == 1 else (20, 21)

    def sync(self):
        """Everything that the switch says before its answer to a barrier."""
        request, reply = self.barrier_types
        xid = self.send(request)
        got = []
        while True:
            message = self.recv()
            if (message.type, message.xid) == (reply, xid):
                return got
            got.append(message)

    def request(self, kind, body=b"", xid=None):
        """The messages that answer, in order, with the request's xid; others that arrived meanwhile are dropped."""
        xid = self.send(kind, body, xid)
        return [m for m in self.sync() if m.xid == xid]

    def error(self, kind, body=b""):
        """(type, code) of the one error that answers, or None."""
        answers = self.request(kind, body)
        if not answers:
            return None
        assert [m.type for m in answers] == [ERROR], answers
        return struct.unpack("!HH", answers[0].body[:4])

    def nx(self, subtype, body=b""):
        return self.request(EXPERIMENTER, struct.pack("!II", NX, subtype) + body)

    def nx_error(self, subtype, body=b""):
        return self.error(EXPERIMENTER, struct.pack("!II", NX, subtype) + body)

    def multipart(self, kind, body=b"", flags=0):
        """The bodies of the reply's parts, or the error's (type, code)."""
        if self.version == 1:
            answers, head = self.request(16, struct.pack("!HH", kind, flags) + body), 4
        else:
            answers, head = self.request(18, struct.pack("!HH4x", kind, flags) + body), 8
        if len(answers) == 1 and answers[0].type == ERROR:
            return struct.unpack("!HH", answers[0].body[:4])
        more = [struct.unpack("!H", m.body[2:4])[0] & 1 for m in answers]
        assert answers and more == [1] * (len(answers) - 1) + [0], answers
        return b"".join(m.body[head:] for m in answers)

    def wait(self, wanted, timeout=5):
        """The next message for which WANTED(message) holds; those before it are dropped."""
        deadline = time.monotonic() + timeout
        while True:
            self.sock.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                message = self.recv()
            finally:
                self.sock.settimeout(5)
            if wanted(message):
                return message

    def closed(self, timeout=5):
        """Does the switch end the connection?"""
        self.sock.settimeout(timeout)
        try:
            while True:
                self._take(1)
        except ConnectionError:
            return True
        except socket.timeout:
            return False


class Controller:
    """Listens on a unix socket, as a controller that the switch connects to: `unix:PATH`."""

    def __init__(self, path):
        self.path = str(path)
        self.listener = None
        self.up()

    @property
    def target(self):
        return f"unix:{self.path}"

    def up(self):
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener.bind(self.path)
        self.listener.listen(8)

    def down(self):
        if self.listener:
            self.listener.close()
            self.listener = None
            os.unlink(self.path)

    def accept(self, version=4, timeout=15, **kwargs):
        assert select.select([self.listener], [], [], timeout)[0], "the switch did not connect"
        return Conn(self.listener.accept()[0], version, **kwargs)

    def idle(self, seconds):
        """No connection comes within SECONDS."""
        return not select.select([self.listener], [], [], seconds)[0]


# ---- bodies ----

def match13(*oxms):
    """An ofp_match of 1.2 and later, from whole OXM TLVs."""
    body = b"".join(oxms)
    length = 4 + len(body)
    return struct.pack("!HH", 1, length) + body + b"\0" * (-length % 8)


def oxm(field, value, mask=None, cls=0x8000):
    payload = value + (mask or b"")
    return struct.pack("!HBB", cls, field << 1 | (mask is not None), len(payload)) + payload


def flow_mod13(match=None, command=0, table=0, priority=0x8000, cookie=0, cookie_mask=0, idle=0, hard=0, flags=0,
               buffer_id=0xffffffff, out_port=0xffffffff, out_group=0xffffffff, instructions=b"", importance=0):
    return struct.pack("!QQBBHHHIIIHH", cookie, cookie_mask, table, command, idle, hard, priority, buffer_id, out_port,
                       out_group, flags, importance) + (match or match13()) + instructions


def output13(port, max_len=0xffff):
    return struct.pack("!HHIH6x", 0, 16, port, max_len)


def apply13(*actions):
    body = b"".join(actions)
    return struct.pack("!HH4x", 4, 8 + len(body)) + body


def match10(in_port=None):
    wildcards = 0x3fffff & ~(1 if in_port is not None else 0)
    return struct.pack("!IH", wildcards, in_port or 0) + b"\0" * 34


def flow_mod10(match=None, command=0, cookie=0, priority=0x8000, idle=0, hard=0, flags=0, buffer_id=0xffffffff,
               out_port=0xffff, actions=b""):
    return (match or match10()) + struct.pack("!QHHHHIHH", cookie, command, idle, hard, priority, buffer_id, out_port,
                                              flags) + actions


def output10(port, max_len=0xffff):
    return struct.pack("!HHHH", 0, 8, port, max_len)
