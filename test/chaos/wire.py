"""A wire between two hosts, packet by packet: two TUN devices, and what is between them.

Arguments: the names of the two devices, and a seed. It prints "ready" when both are there. Each line of standard input is an
object of JSON that replaces the state of the wire: {"cut": [0, 1], "delay": 0.3, "loss": 0.05, "mtu": 600}. "cut" names
directions: 0 from the first device to the second, 1 back. "delay" is in seconds, each way. Packets longer than "mtu" vanish, and
nobody is told. A kernel with netem could do it, but many have none.
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000


def device(name):
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return file


def main(first, second, seed):
    ends = [device(first), device(second)]
    chance = random.Random(seed)
    state = {}
    under_way = []
    count = 0
    pending = b""
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, end, packet = heapq.heappop(under_way)
            try:
                os.write(end, packet)
            except OSError:
                pass
        wait = under_way[0][0] - now if under_way else None
        readable, _, _ = select.select([*ends, 0], [], [], wait)
        if 0 in readable:
            text = os.read(0, 65536)
            if text == b"":
                return
            *lines, pending = (pending + text).split(b"\n")
            if lines:
                state = json.loads(lines[-1])
        for direction, end in enumerate(ends):
            if end not in readable:
                continue
            packet = os.read(end, 65536)
            if direction in state.get("cut", []) or len(packet) > state.get("mtu", 65536):
                continue
            if chance.random() < state.get("loss", 0):
                continue
            count += 1
            heapq.heappush(under_way, (time.monotonic() + state.get("delay", 0), count, ends[1 - direction], packet))


main(sys.argv[1], sys.argv[2], sys.argv[3])
