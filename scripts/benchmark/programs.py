# SPDX-License-Identifier: MIT
"""Running programs, and what they took."""

import contextlib
import functools
import json
import os
import platform
import resource
import subprocess
import time
from pathlib import Path


TOP = Path(__file__).resolve().parent.parent.parent


class Unmeasured(Exception):
    """A contender that cannot do a row here; the sentence goes into the table."""


def run(*command, **options):
    """Runs a program to its end. What it says is kept for the error."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, **options)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Unmeasured(f"{command[0]}: {said[-1]}")


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise Unmeasured("it did not come up")
        time.sleep(0.005)


def cpu_seconds(pid):
    """Of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return sum(int(f) for f in fields[11:15]) / os.sysconf("SC_CLK_TCK")


class Daemon:
    """A file system in the foreground, mounted on a directory or, as qemu does it, on a file."""

    def __init__(self, mountpoint, *command):
        self.mountpoint = Path(mountpoint)
        with open(f"{self.mountpoint}.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: self.is_mounted() or self.process.poll() is not None)
        if not self.is_mounted():
            raise Unmeasured(f"{command[0]} did not mount: see {log.name}")

    def is_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            return any(line.split()[4] == str(self.mountpoint) for line in mounts)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def memory(self, field="VmHWM"):
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        return 0

    def bytes_read(self):
        for line in Path(f"/proc/{self.process.pid}/io").read_text(encoding="utf-8").splitlines():
            if line.startswith("rchar:"):
                return int(line.split()[1])
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["fusermount3", "-u", "-z", str(self.mountpoint)], stderr=subprocess.DEVNULL, check=False)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def timed(function):
    """Seconds, and processor seconds of the programs that it ran."""
    def children():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    cpu, start = children(), time.monotonic()
    function()
    return time.monotonic() - start, children() - cpu


def fio(path, size, pattern, block, count, *options):
    """I/Os per second."""
    command = ["fio", "--name=bench", f"--filename={path}", f"--size={size}", f"--rw={pattern}", f"--bs={block}",
               f"--number_ios={count}", "--ioengine=psync", "--randrepeat=1", "--output-format=json", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Unmeasured(f"fio: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    return job["read"]["iops"] + job["write"]["iops"]


@functools.cache
def of_debian_13(program):
    """How a program of that release is called, whatever release this is."""
    tree = Path(os.environ.get("IMAGEFS_TEST_CACHE", "/var/cache/imagefs-tests")) / "debian-trixie"
    if not tree.is_dir(): # what runs in it gets its files anew by each call
        run(TOP / "scripts/in-debian", "trixie", "true")
    libraries = tree / "usr/lib" / f"{platform.machine()}-linux-gnu"
    return next(libraries.glob("ld-linux-*.so.*")), "--library-path", libraries, tree / "usr/bin" / program


def command_lines():
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                file = process / "cmdline"
                file.read_bytes()
                yield file
