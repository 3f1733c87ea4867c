# SPDX-License-Identifier: MIT
"""
A copy of the tree, built once, in which changed files are compiled and linked with what is there.

A changed object stands before the rooms' archives on the linker's line, so that the one in the archive is never asked
for: nothing of what was built changes, and several changes can be tried at once.
"""

import contextlib
import fcntl
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

PREFIX = "imagefs-mutants-"
FLAGS = "-O1" # quick to build; what is changed is compiled with OPTIMIZED, so that what comes to the same is seen
OPTIMIZED = "-O2"
SPACE = 4 << 30 # a test of a program that has gone wild may take this much of the disk, and of memory
EXIT_C = """void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
void __wrap__exit(int status)
{
        __gcov_dump();
        __real__exit(status);
}
"""


class Broken(Exception):
    """Nothing can be measured; the text says why."""


def run(command, **options):
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                             **options)
    try:
        out, _ = child.communicate()
    except BaseException: # asked to stop: nothing it began writes on into what is being removed
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        child.communicate()
        raise
    if child.returncode != 0:
        raise Broken(f"{shlex.join(map(str, command))}:\n" + "\n".join(out.splitlines()[-30:]))
    return out


def remove(directory):
    """With what is mounted in it: a test that is stopped, or has gone wild, leaves that."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as info:
        mounted = [line.split()[4].replace("\\040", " ") for line in info]
    for place in reversed([m for m in mounted if m.startswith(f"{directory}/")]):
        for command in ("umount", "-l"), ("fusermount3", "-u", "-z", "-q"):
            if subprocess.run([*command, place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
    shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def scratch(room):
    place = Path(tempfile.mkdtemp(prefix="tmp-", dir=room))
    place.chmod(0o755)
    try:
        yield place
    finally:
        remove(place)


def limit():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (SPACE, SPACE)) # not of addresses: kept.c sets many aside


def lock(directory):
    """Held until this process ends, however it does; None: by another, or the directory is not ours."""
    with contextlib.suppress(OSError):
        held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        with contextlib.suppress(OSError):
            if os.fstat(held).st_uid == os.getuid():
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return held
        os.close(held)
    return None


class Bed:
    def __init__(self):
        for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"): # by one that was killed
            held = lock(left)
            if held is not None:
                remove(left)
                os.close(held)
        self.dir = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.held = lock(self.dir)
        os.environ["TMPDIR"] = str(self.dir) # what a compiler leaves that is stopped goes with it
        self.stopped = threading.Event()

    def fill(self, top):
        self.dir.chmod(0o755) # mount cases have other users look in
        self.source, self.build = self.dir / "source", self.dir / "build"
        files = run(["git", "ls-files", "-z"], cwd=top).split("\0")
        for name in filter(None, files):
            if (top / name).is_file():
                (self.source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(top / name, self.source / name)
        lld = ["-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld"] if shutil.which("ld.lld") else []
        run(["cmake", "-S", self.source, "-B", self.build, "-G", "Ninja", "-DBUILD_TESTING=ON", "-DCMAKE_BUILD_TYPE=None",
             f"-DCMAKE_C_FLAGS={FLAGS}", *lld])
        self.compile_lines = {}
        for row in json.loads((self.build / "compile_commands.json").read_text(encoding="utf-8")):
            words = shlex.split(row["command"])
            if Path(words[0]).name == "ccache":
                del words[0]
            at = words.index("-o")
            self.compile_lines.setdefault(os.path.relpath(row["file"], self.source), words[:at])
        self.link_lines = {}

    def remove(self):
        remove(self.dir)
        os.close(self.held)

    def make(self, targets, jobs):
        run(["cmake", "--build", self.build, "-j", str(jobs), "--target", *targets])
        for target in targets:
            last = run(["ninja", "-C", self.build, "-t", "commands", target]).splitlines()[-1]
            if f" -o {target} " in last:
                words = [w for w in shlex.split(last) if w not in (":", "&&", "ccache")]
                self.link_lines[target] = words

    def compile(self, file, text, room, optimized=OPTIMIZED, more=()):
        """FILE as if it held TEXT, compiled in the folder ROOM: the object, or None where it is no C any more."""
        changed, out = room / "changed.c", room / (file.replace("/", "-") + ".o")
        changed.write_text(text, encoding="utf-8")
        # Its path is in assertions: the same for all, so that objects can be compared.
        here = f"-ffile-prefix-map={room}=."
        words = [*self.compile_lines[file], "-w", optimized, "-I", str((self.source / file).parent), here, *more]
        done = subprocess.run([*words, "-o", out, "-c", changed], cwd=self.build, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False)
        return out if done.returncode == 0 else None

    def link(self, program, objects, room, more=()):
        words = list(self.link_lines[program])
        at = words.index("-o")
        # A test's stand-in for a function comes before the file that has it, which another changed one may ask for.
        words[at:at + 2] = [*map(str, objects), *more, "-Wl,-z,muldefs", "-o", str(room / program)]
        return run(words, cwd=self.build) is not None

    def workroom(self, name):
        """A folder to make programs in, with those that stand beside the daemon."""
        room = self.dir / name
        room.mkdir()
        for path in self.build.iterdir():
            if path.is_file() and os.access(path, os.X_OK) and not path.name.startswith("test_"):
                (room / path.name).symlink_to(path)
        return room

    def instrument(self, files, room):
        """Objects of FILES that count which lines ran, and what to link with them."""
        objects = []
        for file in files:
            place = room / file.replace("/", "-")
            place.mkdir()
            made = self.compile(file, (self.source / file).read_text(encoding="utf-8"), place, FLAGS,
                                ["--coverage", "-fprofile-update=atomic"])
            if not made:
                raise Broken(f"{file} cannot be compiled to be counted")
            objects.append(made)
        (room / "exit.c").write_text(EXIT_C, encoding="utf-8")
        run(["cc", "-w", "-c", room / "exit.c", "-o", room / "exit.o"])
        return objects, [str(room / "exit.o"), "--coverage", "-Wl,--wrap=_exit"]

    def tried(self, command, room, seconds, env=None):
        """How COMMAND ended: None, or what was noticed; and how long it took."""
        begun = time.monotonic()
        with scratch(room) as tmp:
            at_first = os.statvfs(tmp)
            floor = at_first.f_bavail * at_first.f_frsize - SPACE
            child = subprocess.Popen(command, cwd=room, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=limit,
                                     env={**os.environ, **(env or {}), "TMPDIR": str(tmp)})
            how = "late"
            while not self.stopped.is_set() and time.monotonic() - begun < seconds:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = child.wait(0.5)
                    how = None if status in (0, 77) else "failed" if status > 0 else signal.Signals(-status).name
                    break
                now = os.statvfs(tmp)
                if now.f_bavail * now.f_frsize < floor:
                    how = "filled the disk"
                    break
            with contextlib.suppress(ProcessLookupError):
                # run-case cleans up after a case when it is asked to end.
                os.killpg(child.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        return how, time.monotonic() - begun
