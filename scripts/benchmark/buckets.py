# SPDX-License-Identifier: MIT
"""
A region in a bucket of Ceph's, which is on this machine, in memory: taken in and read, beside what people use for that.

Server and client share its processors, and where these are busy no ratio is better than that of the work that both sides take:
rows of their own say how much that is.
"""

import contextlib
import itertools
import os
import subprocess
import time
from pathlib import Path

from benchmark.contenders import REGION, Library, restic_to
from benchmark.files import GIB, MIB, forget, fresh, make_dense, read_through, warm
from benchmark.guests import Guests
from benchmark.programs import TOP, Daemon, Unmeasured, cpu_seconds, run
from benchmark.report import column
from benchmark.rows import BOOTING, make_disk, row

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDlab", "AWS_SECRET_ACCESS_KEY": "lab-secret"} # as ceph.sh has them
DELAYS = 0, 10


class Ceph:
    """Ceph's gateway, and ways to it that take longer; both in a network of their own."""

    def __init__(self, bench, stack):
        (fresh(bench.work / "ceph") / "servers").mkdir(parents=True)
        with open(bench.work / "ceph/log", "w", encoding="utf-8") as log:
            servers = subprocess.Popen([TOP / "scripts/cluster", "--servers", bench.work / "ceph"], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        stack.enter_context(servers)
        self.net = servers.stdout.readline().strip()
        if not self.net:
            raise Unmeasured(f"no Ceph: {Path(log.name).read_text(encoding='utf-8').strip()}")
        os.environ.update(KEYS)
        self.endpoints = {0: "http://127.0.0.1"}
        for ms in filter(None, DELAYS):
            relay = subprocess.Popen(self.inside(TOP / "scripts/benchmark/delay.py", "80", str(ms)), text=True,
                                     stdout=subprocess.PIPE)
            stack.enter_context(relay)
            stack.callback(relay.kill)
            self.endpoints[ms] = f"http://127.0.0.1:{relay.stdout.readline().strip()}"

    def inside(self, *command):
        return ["nsenter", "--target", self.net, "--net", *command]

    def rclone(self, ms, *command):
        settings = {"TYPE": "s3", "PROVIDER": "Ceph", "ENV_AUTH": "true", "ENDPOINT": self.endpoints[ms]}
        return self.inside("env", "-u", "AWS_CA_BUNDLE", *(f"RCLONE_CONFIG_LAB_{k}={v}" for k, v in settings.items()),
                           "rclone", "--config", "/dev/null", *command)

    def cpu_seconds(self):
        """Of the gateway, the OSD and the monitor."""
        def network(process):
            return os.readlink(process / "ns/net")

        seconds, here = 0, network(Path("/proc") / self.net)
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError): # it has just ended
                if (process.name.isdigit() and network(process) == here and
                        (process / "comm").read_text(encoding="utf-8").strip() in ("radosgw", "ceph-osd", "ceph-mon")):
                    seconds += cpu_seconds(process.name)
        return seconds

    def remove(self, folder):
        run(*self.rclone(0, "purge", f"lab:lib/{folder}"))


class FarLibrary(Library):
    """Its region is in the bucket, MS away."""

    def __init__(self, bench, name, ceph, ms, folder):
        self.ceph = ceph
        super().__init__(bench, name)
        with self.mounted():
            (self.mount / REGION / "store").write_text(f"s3://lib/{folder} endpoint={ceph.endpoints[ms]}\n", encoding="utf-8")

    def mounted(self, *options):
        return Daemon(self.mount, *self.ceph.inside(self.program, self.store, self.mount, "-f", *options))


def import_rows(b, ceph, ms, number):
    """What was taken in is in the bucket when it is said to be there; each time into an empty folder of it."""
    def timed_in(folder, function):
        start = time.monotonic()
        function()
        seconds = time.monotonic() - start
        ceph.remove(folder)
        return seconds

    def imagefs():
        folder = f"import-{next(number)}"
        fresh(b.work / "far-importing")
        library = FarLibrary(b, "far-importing", ceph, ms, folder)
        with library.mounted():
            return timed_in(folder, lambda: library.put(*b.disks))

    def restic():
        folder = f"import-{next(number)}"
        place = f"s3:{ceph.endpoints[ms]}/lib/{folder}"
        restic_to(place, "init", "--repository-version", "2", before=ceph.inside())
        return timed_in(folder, lambda: restic_to(place, "-o", "s3.connections=16", "backup", "--compression", "auto", *b.disks,
                                                  before=ceph.inside()))

    b.report.add(f"import into a bucket, {ms} ms away", "s", b.in_turn({"imagefs": imagefs, "restic": restic}),
                 ("restic", "≤", 1, 0.7))


class Reading:
    """One file without holes, in the bucket in each one's own way; and the mounts of it, with nothing kept here."""

    def __init__(self, b, ceph):
        self.ceph, self.where = ceph, b.work / "far"
        self.where.mkdir()
        self.size = (256 if b.opts.quick else 1024) * MIB
        dense = self.where / "dense.raw"
        make_dense(dense, b.disks, self.size)
        self.size = dense.stat().st_size
        self.libraries = {}
        for ms in DELAYS:
            self.libraries[ms] = FarLibrary(b, f"far-{ms}", ceph, ms, f"read-{ms}")
            with self.libraries[ms].mounted():
                self.libraries[ms].put(dense)
        self.local = Library(b, "near")
        with self.local.mounted():
            self.local.put(dense)
        run(*ceph.rclone(0, "copy", dense, "lab:lib/plain"))
        (self.where / "keys").write_text(":".join(KEYS.values()), encoding="utf-8")
        (self.where / "keys").chmod(0o600)
        with self.s3backer(0, f"--size={-(-self.size // MIB)}M") as (shown, _):
            run("dd", f"if={dense}", f"of={shown}", "bs=1M", "conv=notrunc,fsync")
        dense.unlink()

    def cache(self, program):
        where = fresh(self.where / f"cache-{program}")
        where.mkdir()
        return where

    @contextlib.contextmanager
    def imagefs(self, ms, keep=False):
        library = self.libraries[ms]
        cache = self.where / "cache-imagefs" if keep else self.cache("imagefs")
        with library.mounted("-o", f"cache-dir={cache}") as daemon:
            yield library.disk("dense"), daemon

    @contextlib.contextmanager
    def rclone(self, ms):
        shown = self.where / "rclone"
        shown.mkdir(exist_ok=True)
        with Daemon(shown, *self.ceph.rclone(
                ms, "mount", "--read-only", "--no-modtime", "--vfs-cache-mode", "full", "--cache-dir", self.cache("rclone"),
                "--buffer-size", "64M", "--vfs-read-ahead", "256M", "--max-read-ahead", "1M", "lab:lib/plain", shown)) as daemon:
            yield shown / "dense.raw", daemon

    @contextlib.contextmanager
    def s3backer(self, ms, *options):
        shown = self.where / "s3backer"
        shown.mkdir(exist_ok=True)
        with Daemon(shown, *self.ceph.inside(
                "s3backer", "-f", f"--accessFile={self.where / 'keys'}", f"--baseURL={self.ceph.endpoints[ms]}/", "--blockSize=1M",
                "--prefix=backer/", "--filename=disk", "--readAhead=32", "--blockCacheThreads=32",
                f"--blockCacheFile={self.cache('s3backer') / 'blocks'}", "--blockCacheSize=2000", *options, "lib", shown)) as daemon:
            yield shown / "disk", daemon

    def speed(self, mount, prepare=lambda path: None):
        """MiB/s; and of a processor, for each GiB, what the program and what the server took."""
        with mount as (path, daemon):
            prepare(path)
            before, start = (daemon.cpu_seconds(), self.ceph.cpu_seconds()), time.monotonic()
            n = read_through(path)
            seconds = time.monotonic() - start
            after = daemon.cpu_seconds(), self.ceph.cpu_seconds()
            return n / MIB / seconds, *((a - b) * GIB / n for a, b in zip(after, before))

    def add(self, b, title, contenders, target):
        results = b.in_turn(contenders)
        for i, (what, unit, goal) in enumerate((("", "MiB/s", target), (": processor", "s/GiB", None),
                                                (": its server", "s/GiB", None))):
            b.report.add(title + what, unit, column(results, i), goal)


@row
def bucket_import(b):
    """Into a region in a bucket, at no distance and at one."""
    with contextlib.ExitStack() as stack:
        ceph, number = Ceph(b, stack), itertools.count()
        for ms in DELAYS:
            import_rows(b, ceph, ms, number)


@row
def bucket_read(b):
    """Out of one, with nothing of it kept here, and again."""
    with contextlib.ExitStack() as stack:
        reading = Reading(b, Ceph(b, stack))

        def kept(path):
            """All of it was read before, and is near: on the disk, and in the page cache."""
            read_through(path)
            forget(path)
            warm(reading.where / "cache-imagefs")

        def local(path):
            forget(path)
            warm(reading.local.store)

        @contextlib.contextmanager
        def near():
            with reading.local.mounted() as daemon:
                yield reading.local.disk("dense"), daemon

        for ms in DELAYS:
            cold = {"imagefs": lambda ms=ms: reading.speed(reading.imagefs(ms)),
                    "rclone mount": lambda ms=ms: reading.speed(reading.rclone(ms)),
                    "s3backer": lambda ms=ms: reading.speed(reading.s3backer(ms))}
            reading.add(b, f"read from a bucket, {ms} ms away, nothing kept", cold, ("rclone mount", "≥", 2, 3))
            again = {"imagefs": lambda ms=ms: reading.speed(reading.imagefs(ms, keep=True), kept),
                     "imagefs, local": lambda: reading.speed(near(), local)}
            reading.add(b, f"read from a bucket, {ms} ms away, again", again, ("imagefs, local", "≥", 0.9, 1))


@row
def bucket_boot(b):
    """A machine of a base in a bucket, of which nothing is kept here, until it is up; beside it one of a base in a local region."""
    with contextlib.ExitStack() as stack:
        ceph, number = Ceph(b, stack), itertools.count()
        guests = Guests(b.work / "far-guests", make_disk("boot"))
        near, cache = Library(b, "near-booting"), b.work / "far-booting-cache"
        libraries = {ms: FarLibrary(b, f"far-booting-{ms}", ceph, ms, f"boot-{ms}") for ms in DELAYS}
        for library in near, *libraries.values():
            with library.mounted():
                library.put(guests.base)

        def machine(library):
            forget(library.store)
            fresh(cache).mkdir()
            name = f"vm-{next(number)}"
            with library.mounted("-o", f"cache-dir={cache}"):
                start = time.monotonic()
                library.make_instance("base", name)
                guests.boot([(library.machine_disk(name), "raw")])
                return time.monotonic() - start

        for ms, library in libraries.items():
            done = b.in_turn({"imagefs": lambda of=library: machine(of), "imagefs, local": lambda: machine(near)}, 2, share=BOOTING)
            b.report.add(f"boot from a bucket, {ms} ms away, nothing kept", "s", done, ("imagefs, local", "≤", 3, 1.5))
