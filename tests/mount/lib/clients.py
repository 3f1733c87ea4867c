# SPDX-License-Identifier: MIT
"""
Four clients at work on a mount, and what they were answered, which is held against what is there after something happened to them:
for kill-clients and cut-clients, whose arguments these are, IMAGEFS STORE MOUNT REGION COUNT [SEED].
"""

import errno
import os
import random
import subprocess
import sys
import threading
import time

program, store, mount, region = sys.argv[1:5]
rounds = int(sys.argv[5])
seed = int(sys.argv[6]) if len(sys.argv) > 6 else random.randrange(1 << 32)
BLOCK, BLOCKS = 4096, 16384
harmed = threading.Event()  # what is refused from here on is no finding
stopped = threading.Event()
wrong = []
longest = 0.0  # that anything took


class Stopped(Exception):
    """Nothing more is to be done."""


def at(*parts):
    return os.path.join(region, *parts)


def text(path):
    with open(path, "rb") as f:
        return f.read().decode().strip()


def put(path, value):
    """A command: one write."""
    with open(path, "wb", buffering=0) as f:
        f.write(value.encode() + b"\n")


# What there can be, and how it is seen: None where it is not there.
def see_dir(*parts):
    path = at(*parts)
    return text(path + "/name") if os.path.isdir(path) else None


def see_size(name):
    return text(at("disks", name, "size")) if os.path.isdir(at("disks", name)) else None


def see_description(kind, name):
    path = at(kind, name)
    return text(path + "/description") if os.path.isdir(path) else None


def see_bytes(name):
    try:
        with open(at("private", name, "disks", "vda.raw"), "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def see_block(n):
    return os.pread(Writer.seen, BLOCK, n * BLOCK)


SEE = {"dir": see_dir, "size": see_size, "description": see_description, "bytes": see_bytes, "block": see_block}


class Client:
    """Does one thing after another until it is stopped or refused. known: what was answered; doing: what may be, or not."""

    def __init__(self, number):
        self.rng = random.Random(seed * 10 + number)
        self.known, self.doing, self.whole, self.n = {}, {}, True, 0
        self.waits = False  # for the end of work on an image, however long that takes

    def change(self, call, changes, whole=True):
        """whole: all of the changes or none."""
        global longest
        if stopped.is_set():
            raise Stopped
        self.doing, self.whole = changes, whole
        began = time.monotonic()
        try:
            call()
        finally:
            longest = max(longest, time.monotonic() - began)
        self.known.update(changes)
        self.doing = {}

    def wait(self, name):
        self.waits = True
        try:
            text(at("private", name, "wait"))
        finally:
            self.waits = False

    def fresh(self, prefix):
        self.n += 1
        return f"{prefix}{self.n}"

    def run(self):
        try:
            while True:
                self.step()
        except Stopped:
            pass
        except OSError as e:
            if not harmed.is_set():
                wrong.append(f"{type(self).__name__}: {errno.errorcode.get(e.errno)} {e.filename or ''} doing {list(self.doing)}")

    def settle(self):
        """Holds what is seen against what is known."""
        for key, value in self.known.items():
            if key not in self.doing:
                seen = SEE[key[0]](*key[1:])
                if seen != value:
                    wrong.append(f"{key}: {show(seen)}, and answered was {show(value)}")
        done = {}
        for key, value in self.doing.items():
            seen = SEE[key[0]](*key[1:])
            if seen != value and seen != self.known.get(key, seen if key[0] == "block" else None):
                wrong.append(f"{key}: {show(seen)}, neither {show(self.known.get(key))} nor {show(value)}")
            done[key] = seen
        if self.whole and len({done[k] == v for k, v in self.doing.items() if v != self.known.get(k)}) > 1:
            wrong.append(f"half there: {[(k, show(v)) for k, v in done.items()]}")
        self.known.update(done)
        self.known = {key: value for key, value in self.known.items() if value is not None}  # what is gone was seen to be
        self.doing = {}


def show(value):
    return f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)


class Writer(Client):
    """A machine: only what it synced is promised, where no supervisor keeps the rest."""

    def step(self):
        fd = os.open(at("disks", "load", "data.raw"), os.O_RDWR)
        try:
            for _ in range(50):
                first, count = self.rng.randrange(BLOCKS - 16), self.rng.randrange(1, 16)
                blocks = {("block", first + i): self.rng.randbytes(8) * (BLOCK // 8) for i in range(count)}
                data = b"".join(blocks.values())
                self.change(lambda: (os.pwrite(fd, data, first * BLOCK), os.fsync(fd)), blocks, whole=False)
        finally:
            os.close(fd)

    def settle(self):
        Writer.seen = os.open(at("disks", "load", "data.raw"), os.O_RDONLY)  # once: each time asks the catalogue
        super().settle()
        os.close(Writer.seen)


KEPT = 20  # disks that stay over some kills; there is a limit


class Disks(Client):
    def step(self):
        name, new = self.fresh("d"), self.fresh("d")
        self.change(lambda: os.mkdir(at("disks", name)), {("dir", "disks", name): name, ("size", name): ""})
        self.change(lambda: put(at("disks", name, "size"), "4M"), {("size", name): "4194304"})
        self.change(lambda: put(at("disks", name, "name"), new), {("dir", "disks", name): new})
        self.change(lambda: os.rename(at("disks", name), at("disks", new)),
                    {("dir", "disks", name): None, ("size", name): None, ("dir", "disks", new): new, ("size", new): "4194304"})
        there = [key[2] for key, value in self.known.items() if key[0] == "dir" and value]
        for name in there[:-KEPT] + ([new] if self.n % 3 else []):
            self.change(lambda: os.rmdir(at("disks", name)), {("dir", "disks", name): None, ("size", name): None})


class Images(Client):
    def step(self):
        name, new = self.fresh("i"), self.fresh("i")
        data = self.rng.randbytes(BLOCK) * 64 + self.rng.randbytes(BLOCK) * 64

        def upload():
            with open(at("private", name, "upload"), "wb", buffering=0) as f:
                f.write(data)
            self.wait(name)  # close(2) may be answered a moment before the daemon hears of it

        self.change(lambda: os.mkdir(at("private", name)), {("dir", "private", name): name, ("description", "private", name): ""})
        self.change(lambda: put(at("private", name, "description"), "of " + name),
                    {("description", "private", name): "of " + name})
        self.change(upload, {("bytes", name): data})
        self.change(lambda: os.rename(at("private", name), at("private", new)),
                    {("dir", "private", name): None, ("description", "private", name): None, ("bytes", name): None,
                     ("dir", "private", new): new, ("description", "private", new): "of " + name, ("bytes", new): data})
        self.change(lambda: os.rmdir(at("private", new)),
                    {("dir", "private", new): None, ("description", "private", new): None, ("bytes", new): None,
                     ("dir", "recycle", new): new})
        self.change(lambda: os.rmdir(at("recycle", new)), {("dir", "recycle", new): None})


class Machines(Client):
    kept = None  # the bytes of that image

    def step(self):
        name, made = self.fresh("m"), self.fresh("m")
        self.change(lambda: os.mkdir(at("private", "kept", "instances", name)),
                    {("dir", "instances", name): name, ("description", "instances", name): ""})
        self.change(lambda: put(at("instances", name, "description"), "of " + name),
                    {("description", "instances", name): "of " + name})
        self.change(lambda: os.mkdir(at("instances", name, "images", made)), {("dir", "private", made): made, ("bytes", made): self.kept})
        self.wait(made)
        self.known["dir", "snapshots", made] = made
        self.change(lambda: os.rmdir(at("instances", name)),
                    {("dir", "instances", name): None, ("description", "instances", name): None})
        self.change(lambda: os.rmdir(at("private", made)),
                    {("dir", "private", made): None, ("bytes", made): None, ("dir", "recycle", made): made})
        self.change(lambda: os.rmdir(at("recycle", made)), {("dir", "recycle", made): None})
        self.change(lambda: os.rmdir(at("snapshots", made)), {("dir", "snapshots", made): None})


def start():
    began = time.monotonic()
    with open(os.path.join(os.path.dirname(store), "daemon.log"), "ab") as log:
        daemon = subprocess.Popen([program, store, mount, "-f"], stdout=log, stderr=log)
    while subprocess.run(["stat", "-f", "-c", "%t", mount], capture_output=True, check=False).stdout != b"65735546\n":
        if daemon.poll() is not None or time.monotonic() > began + 60:
            sys.exit(f"not mounted: {daemon.poll()}")
        time.sleep(0.02)
    return daemon, time.monotonic() - began


def stop(daemon):
    daemon.terminate()
    if daemon.wait(60) != 0:
        wrong.append(f"stopped, the daemon gave status {daemon.returncode}")


def charged_is_there():
    with open(at("quota"), encoding="utf-8") as f:
        used = {line.split()[0]: int(line.split("used=")[1].split()[0]) for line in f}
    for key, names in {"private-images": "private", "snapshots": "snapshots", "instances": "instances", "disks": "disks"}.items():
        if used[key] != len(os.listdir(at(names))):
            wrong.append(f"{key}: charged are {used[key]}, and there are {os.listdir(at(names))}")


def all_is_known(clients):
    known = {key[1:] for c in clients for key, value in c.known.items() if key[0] == "dir" and value is not None}
    for kind in ("private", "recycle", "instances"):
        unknown = {(kind, name) for name in os.listdir(at(kind)) if name != "kept"} - known
        if unknown:
            wrong.append(f"there is also {unknown}")


def work_ends():
    for name in os.listdir(at("private")):
        try:
            text(at("private", name, "wait"))
        except OSError as e:
            if e.errno != errno.EIO:  # its status is error
                raise


def check(clients):
    """When all is well again: is what was answered there, and nothing else?"""
    work_ends()
    for c in clients:
        c.settle()
    all_is_known(clients)
    charged_is_there()


def begin():
    """Gives the daemon, the clients, and how long it took to be mounted."""
    daemon, took = start()
    Machines.kept = see_bytes("kept")
    return daemon, [kind(i) for i, kind in enumerate((Writer, Disks, Images, Machines))], took


def work(clients):
    """Has them work, each in a thread."""
    harmed.clear()
    stopped.clear()
    threads = [threading.Thread(target=c.run) for c in clients]
    for t in threads:
        t.start()
    return threads


def stop_and_check(daemon):
    stop(daemon)
    checked = subprocess.run([program, "check", store], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        wrong.append(f"check: {checked.stdout}{checked.stderr}")


def end(daemon, said):
    """Says how it went, with status 1 where something is wrong."""
    print(said)
    for line in wrong[:20]:
        print(line, file=sys.stderr)
    if wrong and daemon.poll() is None:
        daemon.kill()
    sys.exit(1 if wrong else 0)
