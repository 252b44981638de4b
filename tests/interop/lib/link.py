"""A bad network in user space, for kernels without netem: delay, jitter with reordering, loss, rate and a queue.

Start it in the network namespace of the near end (10.78.0.1, fd78::1). It makes a namespace of its own for the far end
(10.78.0.2, fd78::2), which
others enter by its process id: nsenter --net=/proc/PID/ns/net. Neither namespace has a name, so nothing is left behind,
however the test ends: the kernel takes them back with their last process.

Commands are lines of JSON on standard input, each replaces the conditions of the directions it names:
    {"up": {"delay": ms, "jitter": ms, "loss": %, "rate": kbit/s, "queue": ms}, "down": {…}}    up: far to near.
An empty line asks for the counts. Answers are lines of JSON. The end of the input is the end of the link.
"""
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLEAN = {"delay": 0, "jitter": 0, "loss": 0, "rate": 0, "queue": 300}


def tun(name, own, peer, own6):
    """A TUN device in the present namespace, up and addressed."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    for command in ("link set lo up", f"addr add {own} peer {peer} dev {name}", f"-6 addr add {own6}/64 dev {name} nodad",
                    f"link set {name} up"):
        subprocess.run(["ip", *command.split()], check=True)
    return fd


class Direction:
    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.conditions = dict(CLEAN)
        self.free_at = 0.0
        self.counts = {"packets": 0, "bytes": 0, "lost": 0, "overflowed": 0}

    def leaves_at(self, now, size):
        """When a packet that came now gets out at the other end; None: never."""
        is_ = self.conditions
        if random.random() * 100 < is_["loss"]:
            self.counts["lost"] += 1
            return None
        at = now
        if is_["rate"]:
            at = max(now, self.free_at)
            if at - now > is_["queue"] / 1e3:
                self.counts["overflowed"] += 1
                return None
            at += size * 8 / (is_["rate"] * 1e3)
            self.free_at = at
        self.counts["packets"] += 1
        self.counts["bytes"] += size
        return at + max(0.0, is_["delay"] + random.uniform(-is_["jitter"], is_["jitter"])) / 1e3


def read_all(direction, now, flying, order):
    for _ in range(64):
        try:
            packet = os.read(direction.source, 65535)
        except BlockingIOError:
            return order
        at = direction.leaves_at(now, len(packet))
        if at is not None:
            order += 1
            heapq.heappush(flying, (at, order, direction.sink, packet))
    return order


def obey(line, directions, late):
    """Sets what the command says, answers the counts, and by how many ms packets were late since the last command at worst."""
    command = json.loads(line) if line.strip() else {}
    for name, conditions in command.items():
        directions[name].conditions = {**CLEAN, **conditions}
        directions[name].free_at = 0.0
    print(json.dumps({"late": round(late * 1e3), **{name: direction.counts for name, direction in directions.items()}}), flush=True)


def main():
    os.nice(-10)  # what is late here would look like a worse network
    near = tun("near", "10.78.0.1", "10.78.0.2", "fd78::1")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    far = tun("far", "10.78.0.2", "10.78.0.1", "fd78::2")
    directions = {"up": Direction(far, near), "down": Direction(near, far)}
    by_source = {direction.source: direction for direction in directions.values()}
    print(json.dumps({"pid": os.getpid()}), flush=True)
    flying, order, pending, late = [], 0, b"", 0.0
    while True:
        wait = min(max(flying[0][0] - time.monotonic(), 0), 0.2) if flying else 0.2
        ready, _, _ = select.select([0, near, far], [], [], wait)
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                obey(line, directions, late)
                late = 0.0
        now = time.monotonic()
        for fd in ready:
            if fd in by_source:
                order = read_all(by_source[fd], now, flying, order)
        now = time.monotonic()
        while flying and flying[0][0] <= now:
            at, _, sink, packet = heapq.heappop(flying)
            late = max(late, now - at)
            try:
                os.write(sink, packet)
            except OSError:
                pass  # the device's queue is full, or nobody is there


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"link: {error}")
