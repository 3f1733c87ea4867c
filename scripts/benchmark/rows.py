# SPDX-License-Identifier: MIT
"""What is measured: each row of the tables is made by a function that has its name, or by one that these share."""

import contextlib
import functools
import itertools
import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmark.contenders import (REGION, Library, Machines, Store, dense_mounts, dwarfs, on_a_server, put_qcow2, stores,
                                  tidied_mounts)
from benchmark.files import BLOCK, GIB, MIB, allocated, data_of, forget, fresh, read_through, warm, write_unlike
from benchmark.guests import Guests
from benchmark.programs import TOP, Unmeasured, command_lines, fio, of_debian_13, run, timed, wait_for
from benchmark.report import Report, column

SHARE = 30 # seconds of a row for each contender, but one round at the least
BOOTING = 90 # of that of the boots: two rounds on two cores
TIDYING = 600 # seconds that are waited for it
MUST_READ = ("squashfuse", "≥", 3, 4)
MUST_READ_RANDOM = ("qemu-storage-daemon", "≥", 4, 8)
ROWS = {}


def make_disk(name):
    done = subprocess.run([TOP / "tests/mount/lib/make-disk", name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Unmeasured(f"the disk {name} could not be made")
    return Path(done.stdout.strip())


def row(function):
    ROWS[function.__name__] = function
    return function


class Bench:
    def __init__(self, opts, work):
        self.opts, self.work, self.report = opts, work, Report()
        self.stack = contextlib.ExitStack()
        self.load = os.getloadavg()[0]
        self.disks = opts.disks or self.make_disks()
        self.data = sum(sum(map(len, data_of(d))) for d in self.disks)

    def make_disks(self):
        names = ("a", "boot") if self.opts.quick else ("system", "installed", "rebuilt")
        try:
            return [make_disk(name) for name in names]
        except Unmeasured:
            sys.exit("bench: no disks: name yours with --disks")

    @functools.cached_property
    def mounts(self):
        return dense_mounts(self)

    def in_turn(self, contenders, runs=None, share=SHARE):
        """Rounds; in each, every contender once. One that fails is out, one that is slow after some rounds."""
        results = {name: [] for name in contenders}
        taken = dict.fromkeys(contenders, 0.0)
        for _ in range(runs or self.opts.runs):
            for name, measure in contenders.items():
                if isinstance(results[name], str) or taken[name] > share:
                    continue
                start = time.monotonic()
                try:
                    results[name].append(measure())
                except (Unmeasured, OSError) as e:
                    results[name] = str(e)
                taken[name] += time.monotonic() - start
        return results

    def import_row(self, title, disks, contenders, target):
        """Each contender gives seconds, processor seconds, bytes: three rows."""
        results = self.in_turn(contenders)

        self.report.add(f"import, {title}", "s", column(results, 0), target)
        self.report.add(f"import, {title}: processor", "s/GiB", column(results, 1, GIB / self.data))
        return column(results, 2, 1 / MIB)

    def library_import(self, disks):
        root = self.work / "importing"
        fresh(root)
        library = Library(self, "importing")
        with library.mounted() as daemon:
            def put():
                library.put(*disks)
                run("sync", "-f", library.store)

            before = daemon.cpu_seconds()
            seconds, cpu = timed(put)
            cpu += daemon.cpu_seconds() - before
        return seconds, cpu, allocated(library.store)


# ---- the store ----

def tidied(library):
    """What it takes when there is nothing left to tidy."""
    def stored():
        return re.search(r"^stored-bytes (.*)", (library.mount / "info/store").read_text(encoding="utf-8"), re.M)[1]

    with library.mounted("-o", "tidy=1") as daemon:
        end, before = time.monotonic() + TIDYING, None
        # A segment takes half a minute, of a processor: what has moved nothing and taken none is done.
        while (now := (stored(), daemon.cpu_seconds())) != before:
            if time.monotonic() > end:
                raise Unmeasured(f"not at its end after {TIDYING} s")
            before = now
            time.sleep(15)
    return allocated(library.store)


def tidied_rows(b, sizes):
    """The library that was filled last: space and reads."""
    library = Library(b, "importing")
    as_imported = library.copied(b, "as-imported")
    sizes["imagefs"] = b.in_turn({"imagefs": lambda: tidied(library) / MIB}, 1)["imagefs"]
    b.report.add("space of the disks, tidied", "MiB", sizes, ("casync", "≤", 0.74, 0.7))
    if isinstance(sizes["imagefs"], str):
        raise Unmeasured("reads of what is not tidied say nothing")
    mounts = tidied_mounts(b, library, as_imported)
    with mounts.stack:
        sequential(b, mounts, "read of what was tidied, store cached", store_cached, MUST_READ)
        random_reads(b, mounts, "random 4 KiB of what was tidied, store cached", store_cached, MUST_READ_RANDOM)
    fresh(as_imported.root)


@row
def space(b):
    """Space of the disks, and the time to take them in, durable at the end."""
    def peer(store):
        return lambda: (*store.measure(b.disks), allocated(store.path))

    contenders = {"imagefs": lambda: b.library_import(b.disks)}
    contenders |= {name: peer(store) for name, store in stores(b).items()} | {"DwarFS": dwarfs}
    sizes = b.import_row("raw disks", b.disks, contenders, ("restic", "≤", 0.22, 0.15))
    b.report.add("space of the disks", "MiB", sizes, ("casync", "≤", 0.8, 0.75))
    tidied_rows(b, sizes)
    for store in stores(b).values():
        fresh(store.path)


@row
def qcow2(b):
    """Compressed qcow2 disks in; the peer makes other compressed ones of them."""
    source = b.work / "source"
    source.mkdir()
    put_qcow2(source, b.disks)
    disks = sorted(source.iterdir())
    peer = Store(b, "qcow2-again", lambda p: None, lambda p, d: put_qcow2(p, d, "qcow2"))
    b.import_row("compressed qcow2 disks", disks,
                 {"imagefs": lambda: b.library_import(disks),
                  "qemu-img convert -c": lambda: (*peer.measure(disks), allocated(peer.path))}, None)
    fresh(source)
    fresh(peer.path)


def sequential(b, mounts, title, prepare, target, readers=1):
    size = mounts.size

    def measure(path, below, daemon):
        prepare(path, below)
        before, start = daemon.cpu_seconds(), time.monotonic()
        bounds = [mounts.start + i * size // readers for i in range(readers + 1)]
        threads = [threading.Thread(target=read_through, args=(path, *part)) for part in itertools.pairwise(bounds)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        seconds = time.monotonic() - start
        return size / MIB / seconds, (daemon.cpu_seconds() - before) * GIB / size

    results = b.in_turn(mounts.contenders(measure))
    for i, (what, unit, goal) in enumerate((("", "MiB/s", target), (": processor", "s/GiB", None))):
        b.report.add(title + what, unit, column(results, i), goal)


def store_cached(path, below):
    forget(path)
    warm(below)


def all_cold(path, below):
    forget(path)
    forget(below)


@row
def read(b):
    """Sequential reads of dense data."""
    sequential(b, b.mounts, "read, store cached", store_cached, MUST_READ)
    sequential(b, b.mounts, "read, all cold", all_cold, None)
    sequential(b, b.mounts, "read, hot", lambda path, below: warm(path), None)
    sequential(b, b.mounts, "read, 4 readers, store cached", store_cached, None, readers=4)


def random_reads(b, mounts, title, prepare, target, jobs=1):
    def measure(path, below, daemon):
        prepare(path, below)
        return fio(path, mounts.size, "randread", BLOCK, mounts.size // BLOCK // 16 // jobs, "--readonly",
                   f"--offset={mounts.start}", f"--numjobs={jobs}", "--thread", "--group_reporting", "--invalidate=0")

    b.report.add(title, "reads/s", b.in_turn(mounts.contenders(measure)), target)


@row
def random4k(b):
    """Random reads of 4 KiB: a sixteenth of the file's blocks, each once."""
    random_reads(b, b.mounts, "random 4 KiB, store cached", store_cached, MUST_READ_RANDOM)
    random_reads(b, b.mounts, "random 4 KiB, all cold", all_cold, None)
    random_reads(b, b.mounts, "random 4 KiB, 4 readers", store_cached, None, jobs=4)


@row
def large(b):
    """A disk of 100 GiB, 8 of them data: taken in, copied to another region, converted."""
    size = (1 if b.opts.quick else 100) * GIB
    disk = b.work / "large.raw"
    write_unlike(disk, b.disks, size, size // 100 * 8)
    library = Library(b, "large")
    what = f"of a disk of {size // GIB} GiB"
    with library.mounted() as daemon:
        start = time.monotonic()
        library.put(disk)
        b.report.add(f"import {what}", "s", {"imagefs": [time.monotonic() - start]})
        b.report.add(f"import {what}: memory", "MiB", {"imagefs": [daemon.memory() / MIB]}, (None, "≤", 300, 100))
        disk.unlink()

        copies, conversions = [], []
        before = allocated(library.store)
        for i in range(b.opts.runs):
            there = library.mount / f"regions/there-{i}"
            there.mkdir()
            start = time.monotonic()
            (library.private / "large/copies" / there.name).mkdir()
            library.wait("large", there / "private")
            copies.append((time.monotonic() - start) * 1000)
        b.report.add(f"copy {what} to a region", "ms", {"imagefs": copies}, (None, "≤", 10, 5))
        grown = (allocated(library.store) - before) / MIB / b.opts.runs
        b.report.add(f"copy {what} to a region: space", "MiB", {"imagefs": [grown]})

        local = library.private / "local"
        local.mkdir()
        (local / "type").write_text("local\n", encoding="utf-8")
        small = b.work / "small.raw"
        write_unlike(small, b.disks, size, 64 * MIB)
        run("cp", small, local / "upload")
        library.wait("local")
        for i in range(b.opts.runs):
            start = time.monotonic()
            (local / "convert").write_text(f"cloud converted-{i}\n", encoding="utf-8")
            library.wait("local")
            conversions.append((time.monotonic() - start) * 1000)
        b.report.add(f"convert {what}", "ms", {"imagefs": conversions}, (None, "≤", 10, 5))

        creations = []
        run("sync", "-f", library.store) # what was written before is not part of it
        for i in range(b.opts.runs):
            start = time.monotonic()
            library.make_instance("large", f"vm-{i}")
            creations.append((time.monotonic() - start) * 1000)
        b.report.add(f"create an instance {what}", "ms", {"imagefs": creations}, (None, "≤", 10, 5))

        changed = size // 100
        with open(library.machine_disk("vm-0"), "r+b") as f:
            for at in range(0, changed, MIB):
                f.seek(at * 7 % size)
                f.write(random.Random(at).randbytes(MIB))
            os.fsync(f.fileno())
        before, start = daemon.bytes_read(), time.monotonic()
        (library.mount / REGION / "instances/vm-0/images/after").mkdir()
        library.wait("after")
        seconds, moved = time.monotonic() - start, daemon.bytes_read() - before
        what = f"of a disk of {size // GIB} GiB, 1 % of it changed"
        b.report.add(f"image {what}", "s", {"imagefs": [seconds]})
        b.report.add(f"image {what}: reads", "of those", {"imagefs": [moved / changed]}, (None, "≤", 1.2, 1.2))


@row
def machine_disk(b):
    """What a guest does to its disk, past the page cache and through it; writes are durable at the end."""
    with contextlib.ExitStack() as stack:
        machines = Machines(b, stack)
        of_raw = (("clone of what was read", machines.clone, ((0.6, 0.8), (0.7, 0.9))),
                  ("clone of what a machine read, with cache-dir", machines.cached, ((0.6, 0.8), (0.7, 0.9))),
                  ("machine's disk, its own blocks", machines.own, ((0.7, 0.9), (0.9, 0.9))))
        for what, disk, bounds in of_raw:
            read_through(disk)
            run("sync", "-f", machines.raw)
            for depth, (bound, aim) in zip((1, 16), bounds):
                done = {name: lambda p=path, d=depth: fio(p, machines.size, "randread", BLOCK,
                                                          machines.size // BLOCK // 16, "--direct=1", "--readonly",
                                                          "--ioengine=libaio", f"--iodepth={d}")
                        for name, path in (("imagefs", disk), ("raw file", machines.raw))}
                b.report.add(f"{what}, random 4 KiB, depth {depth}", "per s", b.in_turn(done),
                             ("raw file", "≥", bound, aim))
        for title, pattern, block in (("random reads of 4 KiB", "randread", BLOCK),
                                      ("random writes of 4 KiB", "randwrite", BLOCK),
                                      ("reads of 1 MiB", "read", MIB), ("writes of 1 MiB", "write", MIB)):
            count = machines.size // block // (1 if block == MIB else 16)
            for how, direct in (("direct", 1), ("buffered", 0)):
                # fio drops what it finds in the page cache before it starts
                done = {name: lambda p=path: fio(p, machines.size, pattern, block, count, f"--direct={direct}",
                                                 "--end_fsync=1") for name, path in machines.shown.items()}
                b.report.add(f"machine's disk, {title}, {how}", "per s", b.in_turn(done),
                             ("qemu-storage-daemon", "≥", 1.5, 3))


@row
def boot(b):
    """Ten machines of one base, made and started at once, nothing of it cached: until the last is up. The overlays'
    base is a raw file, the quickest there is."""
    count = 2 if b.opts.quick else 10
    guests = Guests(b.work / "guests", make_disk("boot"))
    library, number = Library(b, "booting"), itertools.count()
    with library.mounted():
        library.put(guests.base)

    def machines():
        forget(library.store)
        names = [f"vm-{next(number)}" for _ in range(count)]
        with library.mounted():
            start = time.monotonic()
            for name in names:
                library.make_instance("base", name)
            guests.boot([(library.machine_disk(name), "raw") for name in names])
            return time.monotonic() - start

    def overlays():
        forget(guests.base)
        start = time.monotonic()
        disks = [guests.where / f"overlay-{i}.qcow2" for i in range(count)]
        for disk in disks:
            run("qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", guests.base, disk)
        guests.boot([(disk, "qcow2") for disk in disks])
        return time.monotonic() - start

    done = b.in_turn({"imagefs": machines, "qcow2 overlays": overlays}, 2, share=BOOTING)
    b.report.add(f"boot of {count} machines of one base at once", "s", done)
    fresh(guests.where)


def list_long(directory, *command):
    return timed(lambda: run(*(command or ["ls"]), "-l", directory))[0]


def read_changed(private, text):
    (private / "first" / "os").write_text("linux\n", encoding="utf-8")
    return timed(lambda: read_through(private.parent / text))[0]


@row
def many(b):
    """Many images: listing, looking at one, starting, memory."""
    for count in (10_000,) if b.opts.quick else (10_000, 100_000):
        plain = b.work / f"plain-{count}"
        for i in range(count):
            (plain / f"filler-{i:06d}").mkdir(parents=True)
        library = Library(b, f"many-{count}")
        with library.mounted():
            (library.private / "first").mkdir()
        library.fill(count)
        names = [f"filler-{n:06d}" for n in random.Random(1).sample(range(2, count), 2000)]

        def start():
            seconds, _ = timed(lambda: run(library.program, library.store, library.mount))
            run("fusermount3", "-u", library.mount)
            # the daemon goes by itself; the next one needs its lock
            wait_for(lambda: not any(str(library.store) in p.read_bytes().decode(errors="replace")
                                     for p in command_lines()))
            return seconds

        def stats(directory):
            begin = time.monotonic()
            for name in names:
                os.stat(directory / name)
            return (time.monotonic() - begin) / len(names) * 1e6

        b.report.add(f"start with {count} images", "s", b.in_turn({"imagefs": start}), (None, "≤", 0.2, 0.05))
        with library.mounted() as daemon:
            # entries are forgotten after a second: each round asks the daemon anew
            looked = b.in_turn({"imagefs": lambda: (time.sleep(1.1), stats(library.private))[1],
                                "directories": lambda: stats(plain)})
            b.report.add(f"stat of one of {count} images", "µs", looked, ("directories", "≤", 6, 3))
            listed = b.in_turn({"imagefs": lambda: list_long(library.private), "directories": lambda: list_long(plain)})
            b.report.add(f"ls -l of {count} images", "s", listed, ("directories", "≤", 2, 1))
            newer = b.in_turn({"imagefs": lambda: list_long(library.private, *of_debian_13("ls")),
                               "directories": lambda: list_long(plain, *of_debian_13("ls"))})
            b.report.add(f"ls -l of Debian 13, {count} images", "s", newer, ("directories", "≤", 2, 1))
            for text in ("images.csv", "images.json", "images.xlsx"):
                made = b.in_turn({"imagefs": lambda t=text: read_changed(library.private, t)})
                b.report.add(f"{text} of {count} images, after a change", "s", made,
                             (None, "≤", 1, 1) if count == 10_000 else None)
            b.report.add(f"memory, {count} images listed", "MiB", {"imagefs": [daemon.memory() / MIB]},
                         (None, "≤", 300, 200))
        fresh(plain)


@row
def catalogue(b):
    """10 000 images with the catalogue on a server of PostgreSQL on this machine, beside one in a file."""
    near = Library(b, "catalogue-near")
    with near.mounted():
        (near.private / "first").mkdir()
    near.fill(10_000)
    far = near.copied(b, "catalogue-far")
    names = [f"filler-{n:06d}" for n in random.Random(1).sample(range(2, 10_000), 1000)]

    def stats(library):
        time.sleep(1.1)  # entries are forgotten after a second
        begin = time.monotonic()
        for name in names:
            os.stat(library.private / name)
        return (time.monotonic() - begin) / len(names) * 1e6

    def changes(library):
        begin = time.monotonic()
        for _ in range(50):
            (library.private / "made").mkdir()
            (library.private / "made").rmdir()
        return (time.monotonic() - begin) / 50 * 1e3

    with on_a_server(far), far.mounted(), near.mounted():
        for what, unit, measure in (("ls -l of 10000 images", "s", lambda library: list_long(library.private)),
                                    ("stat of one of them", "µs", stats),
                                    ("mkdir and rmdir of an image", "ms", changes)):
            b.report.add(f"catalogue in PostgreSQL: {what}", unit,
                         b.in_turn({"imagefs": lambda m=measure: m(far), "a file": lambda m=measure: m(near)}))
