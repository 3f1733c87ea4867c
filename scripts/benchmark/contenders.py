# SPDX-License-Identifier: MIT
"""Those that are measured: imagefs, and what people use today."""

import contextlib
import os
import sqlite3
import subprocess
from pathlib import Path

from benchmark.files import BLOCK, MIB, fresh, make_dense, spans_of
from benchmark.programs import TOP, Daemon, Unmeasured, fio, run, timed

REGION = "regions/here"


# ---- stores ----

class Library:
    """imagefs: a store and its mount."""

    def __init__(self, bench, name):
        self.program, self.root = bench.opts.imagefs, bench.work / name
        self.store, self.mount = self.root / "store", self.root / "mount"
        if self.store.exists():
            return
        self.mount.mkdir(parents=True)
        run(self.program, "init", self.store)
        with self.mounted():
            (self.mount / REGION).mkdir()
            for what in ("private-images", "snapshots"):
                (self.mount / "info/limits").write_text(f"{what} 1000000\n", encoding="utf-8")

    def mounted(self, *options):
        return Daemon(self.mount, self.program, self.store, self.mount, "-f", *options)

    @property
    def private(self):
        return self.mount / REGION / "private"

    def wait(self, image, directory=None):
        path = (directory or self.private) / image / "wait"
        status = path.read_text(encoding="utf-8").strip()
        if status != "available":
            raise Unmeasured(f"imagefs: {image} is {status}")

    def put(self, *files):
        run("cp", *files, self.private)
        for file in files:
            self.wait(Path(file).stem)

    def disk(self, image):
        return self.private / image / "disks/vda.raw"

    def make_instance(self, image, name):
        (self.private / image / "instances" / name).mkdir()

    def machine_disk(self, name):
        return self.mount / REGION / "instances" / name / "disks/vda.raw"

    def copied(self, bench, name):
        """The library as it is, once more; it is not mounted."""
        run("cp", "-a", self.root, bench.work / name)
        return Library(bench, name)

    def fill(self, count):
        """Makes COUNT images at once, in the stopped library's database: the mount would sync each of them."""
        with contextlib.closing(sqlite3.connect(self.store / "imagefs.db")) as db, db:
            columns = [row[1] for row in db.execute("PRAGMA table_info(image)")]
            id_, have = db.execute("SELECT max(id), count(*) FROM image").fetchone()
            own = {"id": "NULL", "ident": "printf('00000000-0000-4000-8000-%012d', n)",
                   "handle": "printf('filler-%06d', n)"}
            db.execute(f"""WITH RECURSIVE filler(n) AS (SELECT {have + 1} UNION ALL SELECT n + 1 FROM filler
                           WHERE n < {count})
                           INSERT INTO image SELECT {', '.join(own.get(c, c) for c in columns)}
                           FROM image, filler WHERE id = {id_}""")


@contextlib.contextmanager
def on_a_server(library):
    """LIBRARY, with its catalogue on a server of PostgreSQL, which syncs what is committed, as SQLite does."""
    place, server = library.root / "server", TOP / "tests/lib/postgres"
    place.mkdir(mode=0o755)
    for above in place.parents:
        if above.stat().st_uid == os.getuid() and above != Path("/") and not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o111)  # the server may be another user
    if subprocess.run([server, "start", place], env={**os.environ, "IMAGEFS_POSTGRES_OPTIONS": "-c fsync=on"},
                      check=False).returncode != 0:
        raise Unmeasured("there is no server of PostgreSQL")
    try:
        run(library.program, "migrate", library.store, "--catalogue", f"postgresql://imagefs@/postgres?host={place}")
        yield library
    finally:
        run(server, "stop", place)


class Store:
    """A peer that disks are put into: a fresh one each time."""

    def __init__(self, bench, name, prepare, put):
        self.path = bench.work / f"store-{name}"
        self.prepare, self.put = prepare, put

    def measure(self, disks):
        fresh(self.path).mkdir()
        self.prepare(self.path)
        return timed(lambda: (self.put(self.path, disks), run("sync", "-f", self.path)))


def restic_to(place, *command, before=()):
    run(*before, "restic", "--no-cache", "-r", place, *command, env={**os.environ, "RESTIC_PASSWORD": "bench"})


def restic(path, *command):
    restic_to(path / "r", *command)


def borg(path, *command):
    home = {f"BORG_{k}_DIR": str(path / f".{k.lower()}") for k in ("BASE", "CACHE", "CONFIG", "SECURITY")}
    run("borg", *command, env={**os.environ, **home, "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"})


def put_casync(path, disks):
    for disk in disks:
        run("casync", "make", "--compression=zstd", f"--store={path}/store", path / f"{Path(disk).stem}.caibx", disk)


def put_qcow2(path, disks, source="raw"):
    for disk in disks:
        run("qemu-img", "convert", "-f", source, "-O", "qcow2", "-c", "-W", "-m", "16", "-o", "compression_type=zstd",
            disk, path / f"{Path(disk).stem}.qcow2")


def put_squashfs(image, files):
    run("mksquashfs", *files, image, "-comp", "zstd", "-no-progress", "-quiet")


def dwarfs(*_):
    """Named where it would stand: it brings folly and Thrift along to be built, which takes longer than all rows."""
    raise Unmeasured("absent: in no package of Debian's")


def stores(bench):
    """The peers, each at what makes it small without making it very slow."""
    return {
        "restic": Store(bench, "restic", lambda p: restic(p, "init", "--repository-version", "2"),
                        lambda p, d: restic(p, "backup", "--compression", "auto", *d)),
        "borg": Store(bench, "borg", lambda p: borg(p, "init", "-e", "none", p / "r"),
                      lambda p, d: borg(p, "create", "--compression", "zstd,3", f"{p / 'r'}::disks", *d)),
        "casync": Store(bench, "casync", lambda p: None, put_casync),
        "squashfs": Store(bench, "squashfs", lambda p: None,
                          lambda p, d: put_squashfs(p / "disks.squashfs", d)),
        "qcow2 zstd": Store(bench, "qcow2", lambda p: None, put_qcow2),
    }


# ---- mounts ----

class Mounts:
    """One file as several file systems show it: name → (path, what lies below, daemon). From START on SIZE bytes of it
    have no holes."""

    def __init__(self, bench, where, start, size):
        self.stack, self.where = contextlib.ExitStack(), where
        bench.stack.push(self.stack)
        self.start, self.size, self.shown = start, size, {}
        where.mkdir()

    def show_library(self, name, library, image, *options):
        daemon = self.stack.enter_context(library.mounted(*options))
        self.shown[name] = (library.disk(image), library.store, daemon)

    def show_squashfs(self, image, file):
        shown = self.where / "squashfuse"
        shown.mkdir()
        daemon = self.stack.enter_context(Daemon(shown, "squashfuse_ll", "-f", image, shown))
        self.shown["squashfuse"] = (shown / file, image, daemon)

    def show_qcow2(self, image):
        shown = self.where / "qemu"
        shown.touch()
        daemon = self.stack.enter_context(Daemon(
            shown, "qemu-storage-daemon", "--blockdev",
            f"qcow2,node-name=d,read-only=on,file.driver=file,file.filename={image}",
            "--export", f"fuse,id=e,node-name=d,mountpoint={shown}"))
        self.shown["qemu-storage-daemon"] = (shown, image, daemon)

    def contenders(self, measure):
        return {name: lambda s=shown: measure(*s) for name, shown in self.shown.items()} | {"DwarFS": dwarfs}


def dense_mounts(bench):
    """What the disks hold, as one file without holes."""
    where = bench.work / "dense"
    mounts = Mounts(bench, where, 0, (256 if bench.opts.quick else 1024) * MIB)
    dense = where / "dense.raw"
    make_dense(dense, bench.disks, mounts.size)
    mounts.size = dense.stat().st_size

    library = Library(bench, "reading")
    with library.mounted():
        library.put(dense)
    mounts.show_library("imagefs", library, "dense")
    put_squashfs(where / "dense.squashfs", [dense])
    mounts.show_squashfs(where / "dense.squashfs", dense.name)
    put_qcow2(where, [dense])
    mounts.show_qcow2(where / "dense.qcow2")
    dense.unlink()
    return mounts


def tidied_mounts(bench, tidied, as_imported):
    """The longest part without holes of the disk that was taken in last, of which most is stored as a difference, in
    two libraries; and what the row of space has of it in other stores."""
    disk = bench.disks[-1]
    start, end = max(spans_of(disk), key=lambda span: span[1] - span[0])
    mounts = Mounts(bench, bench.work / "tidied", start, end - start)
    for name, library in ("imagefs", tidied), ("imagefs, as imported", as_imported):
        mounts.show_library(name, library, disk.stem, "-o", "tidy=0")
    peers = stores(bench)
    mounts.show_squashfs(peers["squashfs"].path / "disks.squashfs", disk.name)
    mounts.show_qcow2(peers["qcow2 zstd"].path / f"{disk.stem}.qcow2")
    return mounts


# ---- a machine's disk ----

class Machines:
    """The disk of a stopped machine, to write to: imagefs's, and a qcow2 overlay as qemu shows it."""

    def __init__(self, b, stack):
        work, dense = b.work, b.work / "machine.raw"
        make_dense(dense, b.disks, (256 if b.opts.quick else 1024) * MIB)
        self.size = dense.stat().st_size
        library = Library(b, "machines")
        stack.enter_context(library.mounted())
        library.put(dense)
        library.make_instance("machine", "vm")
        library.make_instance("machine", "own")
        put_qcow2(work, [dense])
        self.raw = dense
        self.clone, self.own = library.machine_disk("vm"), library.machine_disk("own")
        run("dd", f"if={dense}", f"of={self.own}", "bs=1M", "conv=notrunc,fsync")
        overlay, shown = work / "overlay.qcow2", work / "overlay"
        run("qemu-img", "create", "-f", "qcow2", "-F", "qcow2", "-b", work / "machine.qcow2", overlay)
        shown.touch()
        stack.enter_context(Daemon(
            shown, "qemu-storage-daemon", "--blockdev", f"qcow2,node-name=d,file.driver=file,file.filename={overlay}",
            "--export", f"fuse,id=e,node-name=d,mountpoint={shown},writable=on"))
        self.shown = {"imagefs": self.clone, "qemu-storage-daemon": shown}

        # The same with a cache on disk, whose base another machine has read, each block by itself.
        library = Library(b, "machines-cached")
        stack.enter_context(library.mounted("-o", f"cache-dir={work / 'cache'}"))
        library.put(dense)
        library.make_instance("machine", "vm")
        library.make_instance("machine", "other")
        self.cached, other = library.machine_disk("vm"), library.machine_disk("other")
        fio(other, self.size, "randread", BLOCK, self.size // BLOCK, "--direct=1", "--readonly", "--ioengine=libaio",
            "--iodepth=16")
