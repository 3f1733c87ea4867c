# SPDX-License-Identifier: MIT
"""Disks, what they hold, and what the page cache has of files."""

import contextlib
import os
import shutil
from pathlib import Path

BLOCK = 4096
MIB = 1 << 20
GIB = 1 << 30


def allocated(path):
    """Bytes that everything below PATH takes on its disk."""
    path = Path(path)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.lstat().st_blocks * 512 for f in files)


def spans_of(disk):
    """(start, end) of what lies between the holes of a disk."""
    with open(disk, "rb") as f:
        size, at = os.fstat(f.fileno()).st_size, 0
        while at < size:
            try:
                start = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(f.fileno(), start, os.SEEK_HOLE)
            yield start, at


def data_of(disk):
    """The data of a disk, span by span, without the blocks of zeros that are not holes."""
    zero = bytes(BLOCK)
    with open(disk, "rb") as f:
        for at, end in spans_of(disk):
            while at < end:
                piece = os.pread(f.fileno(), min(MIB, end - at), at)
                at += len(piece)
                blocks = (piece[i:i + BLOCK] for i in range(0, len(piece), BLOCK))
                yield b"".join(b for b in blocks if b != zero)


def make_dense(path, disks, size):
    """A file of SIZE bytes without holes: what the disks hold, behind a block that names no partitions: they would end
    behind the file, and it would be refused."""
    left = size - BLOCK
    with open(path, "wb") as out:
        out.write(b"dense\n".ljust(BLOCK, b"."))
        for disk in disks:
            for piece in data_of(disk):
                out.write(piece[:left])
                left -= min(left, len(piece))
                if not left:
                    return


def write_unlike(path, disks, size, data):
    """A disk of SIZE bytes, in 64 places of which lie DATA bytes: what the disks hold, no two blocks of it the same."""
    def pieces():
        while True:
            for disk in disks:
                yield from data_of(disk)

    number, source = 0, pieces()
    with open(path, "wb") as f:
        f.truncate(size)
        for place in range(0, size, size // 64):
            f.seek(place)
            room = data // 64 // BLOCK * BLOCK
            while room:
                piece = bytearray(next(source)[:room])
                for at in range(0, len(piece), BLOCK):
                    number += 1
                    piece[at:at + 8] = number.to_bytes(8, "little")
                f.write(piece)
                room -= len(piece)


def forget(path):
    """Drops what the page cache has of the files; they are clean, or synced first."""
    path = Path(path)
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            fd = os.open(file, os.O_RDONLY)
            with contextlib.suppress(OSError):
                os.fdatasync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def read_through(path, start=0, end=None):
    """Reads in pieces of 1 MiB, as cp and cat do; gives the bytes."""
    buffer, total = bytearray(MIB), 0
    fd = os.open(path, os.O_RDONLY)
    try:
        while end is None or start + total < end:
            n = os.preadv(fd, [buffer], start + total)
            if n == 0:
                break
            total += n
    finally:
        os.close(fd)
    return total


def warm(path):
    path = Path(path)
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            read_through(file)


def fresh(path):
    path = Path(path)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path
