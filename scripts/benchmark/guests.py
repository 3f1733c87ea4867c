# SPDX-License-Identifier: MIT
"""Machines that boot, without the help of the processor: their disks are compared, and it is not there everywhere."""

import re
import subprocess
import threading

from benchmark.programs import Unmeasured, run

SECONDS = 600 # that machines may take to be up
# What a machine does when it has started: its services and their libraries are read, something is written for good.
FIRST_PROCESS = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -o remount,rw /
cat /usr/bin/* /usr/sbin/* /usr/lib/x86_64-linux-gnu/* >/dev/null 2>&1
dmesg >/var/log/boot && sync && echo 'guest: up'
exec sleep 100000
"""


class Guests:
    """DISK, a system without anything to start, with a first process of its own; its kernel and initial file system."""

    def __init__(self, where, disk):
        self.where, self.base = where, where / "base.raw"
        where.mkdir()
        run("cp", "--sparse=always", disk, self.base)
        listed = subprocess.run(["debugfs", "-R", "ls -p /boot", disk], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, check=False).stdout
        if not (kernel := re.search(r"/vmlinuz-([^/]+)/", listed)):
            raise Unmeasured("no kernel on the disk")
        for name, file in ("kernel", f"vmlinuz-{kernel[1]}"), ("initrd", f"initrd.img-{kernel[1]}"):
            run("debugfs", "-R", f"dump /boot/{file} {where / name}", disk)
        (where / "first").write_text(FIRST_PROCESS, encoding="utf-8")
        (where / "commands").write_text(f"cd /srv\nwrite {where / 'first'} first\nsif first mode 0100755\n",
                                        encoding="utf-8")
        run("debugfs", "-w", "-f", where / "commands", self.base)

    def start(self, disk, form):
        return subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "256", "-nodefaults", "-no-reboot",
             "-display", "none", "-serial", "stdio", "-kernel", self.where / "kernel", "-initrd", self.where / "initrd",
             "-append", "root=/dev/vda ro console=ttyS0 panic=-1 quiet no_timer_check init=/srv/first",
             "-drive", f"file={disk},format={form},if=virtio,cache=none"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")

    def boot(self, disks):
        """Starts one for each (disk, format), and comes back when all are up; they are ended."""
        guests = [self.start(*disk) for disk in disks]

        def end():
            for guest in guests:
                guest.kill()

        late = threading.Timer(SECONDS, end)
        late.start()
        try:
            for guest in guests:
                said = []
                while "guest: up" not in (said[-1] if said else ""):
                    if not (line := guest.stdout.readline()):
                        raise Unmeasured(f"a machine did not come up: {''.join(said[-1:]).strip()}")
                    said.append(line)
        finally:
            late.cancel()
            end()
            for guest in guests:
                guest.communicate()
