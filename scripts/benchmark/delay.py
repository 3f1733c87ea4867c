#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""delay.py PORT MS: a way to the server at PORT of this host on which each byte takes MS, to and fro. Prints its own port."""

import contextlib
import queue
import socket
import sys
import threading
import time

PIECE = 1 << 18
PIECES = 256 # on their way at once, of a connection


def receive(end, way, ms):
    """What comes now is due later; an empty piece is the end."""
    piece = b"."
    while piece:
        try:
            piece = end.recv(PIECE)
        except OSError:
            piece = b""
        way.put((time.monotonic() + ms / 1000, piece))


def deliver(end, way):
    while True:
        due, piece = way.get()
        time.sleep(max(0, due - time.monotonic()))
        with contextlib.suppress(OSError): # nobody takes it any more: the other way ends, too
            if not piece:
                end.shutdown(socket.SHUT_WR)
                return
            end.sendall(piece)


def main():
    port, ms = int(sys.argv[1]), float(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", port))
        for end in client, server:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for one, other in (client, server), (server, client):
            way = queue.Queue(PIECES)
            threading.Thread(target=receive, args=(one, way, ms / 2), daemon=True).start()
            threading.Thread(target=deliver, args=(other, way), daemon=True).start()


main()
