# SPDX-License-Identifier: MIT
"""What can be changed in a file of C, one thing at a time."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Change:
    file: str # from the top of the tree
    line: int
    start: int # columns of the line that NEW takes the place of
    end: int
    new: str
    old: str

    def apply(self, text):
        lines = text.split("\n")
        line = lines[self.line - 1]
        lines[self.line - 1] = line[:self.start] + self.new + line[self.end:]
        return "\n".join(lines)

    def __str__(self):
        return f"{self.old} -> {self.new or 'nothing'}"


# An operator stands between spaces in this tree; what points or names a type does not.
FLIPS = {
    "<": ("<=",), "<=": ("<",), ">": (">=",), ">=": (">",), "==": ("!=",), "!=": ("==",),
    "&&": ("||",), "||": ("&&",), "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("/",),
    "<<": (">>",), ">>": ("<<",), "&": ("|",), "|": ("&",), "+=": ("-=",), "-=": ("+=",), "|=": ("&=",), "&=": ("|=",),
}
WORDS = {"true": ("false",), "false": ("true",)}

OPERATOR = re.compile("(?<= )(" + "|".join(sorted(map(re.escape, FLIPS), key=len, reverse=True)) + ")(?= |$)")
WORD = re.compile(r"\b(" + "|".join(WORDS) + r")\b")
# Not one of a name, nor -1 or { 0 }, which stand for nothing; nor how long an array is.
NUMBER = re.compile(r"(?<![\w.\-])(?<!\{ )(\d+)([uUlL]*)\b")
LENGTH = re.compile(r"^\s*(?:(?:static|const|struct|unsigned|_Atomic) )*\w+ \*?\w+\[[^=]*;")
ALLOCATED = re.compile(r"\bcalloc\($") # more memory than is needed is no mistake
ERRNO = re.compile(r"-(E[A-Z0-9]{3,})\b")
IF = re.compile(r"\b(?:if|while) (?=\()")
SYNC = re.compile(r"\b\w*sync\w*(?=\()")
DEFINITION = re.compile(r"(static |const )*(int|void|bool)\b")
# A way out that a condition guards, a call whose answer nobody takes, an assignment: each alone on its line.
GUARD = re.compile(r"\s*(\} )?(else )?(if|for|while) \(.*\)( \{)?$|\s*(\} )?else( \{)?$|.*\)$")
LEAVE = re.compile(r"\s+(?P<all>(return\b.*|goto \w+|break|continue);)$")
CALL = re.compile(r"\s+(?P<all>(\(void\))?(?P<call>\w+)\(.*\);)$")
ASSIGN = re.compile(r"\s+(?P<all>\*?[A-Za-z_][\w.\[\]]*(->[\w.\[\]]+)* [-+|&^]?= [^=].*;)$")

# What only the address sanitizer (a leak) or that of threads (a race) would notice, with which scripts/check runs the unit
# tests, and what is only said or hoped for.
LEFT_TO_OTHERS = re.compile(r"free|close|closedir|\w+_free|\w+_close|\w+_done|log_\w+|pthread_\w+|\w*LOCK_SCOPE|(?:\w+_)?(?:un)?lock|"
                            r"\w*(advise|readahead|prefetch)\w*")
NOT_CODE = re.compile(r"\b(?:assert|static_assert|_Static_assert|log_\w+|DB_STATEMENTS)\(")


def mask(text):
    """The same with comments, strings, characters and preprocessor lines blank, so that columns stay."""
    def blank(m):
        return re.sub(r"[^\n]", "\0", m.group())

    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)
    return re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def closing(line, start):
    """Where the parenthesis at START ends, behind it; 0: not on this line."""
    depth = 0
    for i in range(start, len(line)):
        depth += {"(": 1, ")": -1}.get(line[i], 0)
        if depth == 0:
            return i + 1
    return 0


def on_line(line, masked, above):
    """(start, end, new) of each change of a LINE; ABOVE is the masked one before it."""
    for m in OPERATOR.finditer(masked):
        for new in FLIPS[m.group(1)]:
            yield m.start(), m.end(), new
    for m in WORD.finditer(masked):
        for new in WORDS[m.group(1)]:
            yield m.start(), m.end(), new
    for m in NUMBER.finditer(masked):
        value = int(m.group(1), 8 if re.match(r"0\d", m.group(1)) else 10)
        larger = {value + 1} if not ALLOCATED.search(masked, 0, m.start()) else set()
        for near in {abs(value - 1), *larger}:
            yield m.start(), m.end(), f"{near}{m.group(2)}"
    for m in ERRNO.finditer(masked):
        yield m.start(1), m.end(1), "ENOTTY"
    for m in IF.finditer(masked):
        end = closing(masked, m.end())
        if end:
            yield m.end(), end, f"(!{line[m.end():end]})"
    for m in SYNC.finditer(masked):
        end = closing(masked, m.end())
        if end and not DEFINITION.match(masked):
            yield m.start(), end, "0"
    for pattern in LEAVE, CALL, ASSIGN:
        m = pattern.match(masked)
        if m and (pattern != LEAVE or GUARD.match(above)) and \
                (pattern != CALL or not LEFT_TO_OTHERS.fullmatch(m.group("call"))):
            yield m.start("all"), m.end("all"), ";"


def changes(file, text):
    """All Changes of a file's TEXT, in the order of its lines."""
    found, above = [], ""
    for number, (line, masked) in enumerate(zip(text.split("\n"), mask(text).split("\n")), 1):
        if not NOT_CODE.search(masked) and not LENGTH.match(masked):
            seen = sorted(set(on_line(line, masked, above)))
            found += [Change(file, number, start, end, new, line[start:end]) for start, end, new in seen]
        above = masked if masked.strip("\0 ") else above
    return found
