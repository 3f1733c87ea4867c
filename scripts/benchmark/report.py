# SPDX-License-Identifier: MIT
"""All figures, and those that something is to be reached in."""

import csv
import statistics


def column(results, i, scale=1.0):
    """One of the figures that contenders gave together."""
    return {name: [v[i] * scale for v in values] if isinstance(values, list) else values
            for name, values in results.items()}


class Report:
    def __init__(self):
        self.lines = []
        self.figures = [] # of the rows that have something to reach
        self.missed = [] # what must be reached and was not, or could not be measured
        self.seconds = {} # that the rows took

    def add(self, row, unit, results, target=None):
        """TARGET: (peer, operator, factor, aim), or (None, operator, value, aim) for a bound of its own."""
        ours = statistics.median(results["imagefs"]) if isinstance(results.get("imagefs"), list) else None
        for name, values in results.items():
            line = {"row": row, "program": name, "unit": unit}
            if isinstance(values, list):
                median = statistics.median(values)
                line |= {"median": median, "min": min(values), "max": max(values), "runs": len(values)}
                if ours is not None and name != "imagefs" and median:
                    line["imagefs is"] = ours / median
            else:
                line["note"] = values
            if name == "imagefs" and target:
                line["note"] = self.judge(row, unit, ours, results, *target)
            self.lines.append(line)
            print(self.text(line), flush=True)

    def judge(self, row, unit, ours, results, peer, operator, bound, aim):
        if ours is None:
            self.missed.append(f"{row}: {results['imagefs']}")
            return results["imagefs"]
        measure, beside, of = ours, "", f" {unit}"
        if peer:
            peers = {n: statistics.median(v) for n, v in results.items() if n != "imagefs" and isinstance(v, list)}
            if peer == "the best peer" and peers:
                peer = (max if operator == "≥" else min)(peers, key=peers.get)
            if peer not in peers:
                self.missed.append(f"{row}: {peer} could not be measured")
                return "its peer could not be measured"
            measure, beside, of = ours / peers[peer], f"{peer} {self.number(peers[peer])}", " ×"

        def met(limit):
            return measure >= limit if operator == "≥" else measure <= limit

        if not met(bound):
            self.missed.append(f"{row}: {self.number(measure)}{of}, must be {operator} {bound:g}")
        verdict = "as aimed" if met(aim) else "as it must be" if met(bound) else "MISSED"
        self.figures.append([row, f"{self.number(measure)} ×" if peer else "", f"{operator} {bound:g}{of}",
                             f"{operator} {aim:g}{of}", verdict, f"{self.number(ours)} {unit}", beside])
        return f"{verdict}: {operator} {bound:g}{of} {peer or ''}".rstrip() + f", aim {aim:g}"

    @staticmethod
    def number(value):
        return "" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

    def cells(self, line):
        spread = f"{self.number(line['min'])} to {self.number(line['max'])}" if line.get("runs", 1) > 1 else ""
        ratio = f"{self.number(line['imagefs is'])} ×" if "imagefs is" in line else ""
        return [line["row"], line["program"], ratio, self.number(line.get("median")), spread, line["unit"],
                line.get("note", "")]

    def text(self, line):
        row, program, ratio, median, spread, unit, note = self.cells(line)
        return f"{row:56.56} {program:20.20} {ratio:>8} {median:>8} {spread:>16} {unit:10}  {note}".rstrip()

    def write(self, directory, heading):
        directory.mkdir(parents=True, exist_ok=True)
        for name, titles, rows in (
                ("figures.md", ["work", "imagefs is", "must", "aim", "", "imagefs", "beside it"], self.figures),
                ("bench.md", ["work", "program", "imagefs is", "median", "spread", "unit", "must"],
                 map(self.cells, self.lines))):
            with open(directory / name, "w", encoding="utf-8") as f:
                f.write(heading + "\n\n| " + " | ".join(titles) + " |\n|" + "---|" * len(titles) + "\n")
                f.writelines("| " + " | ".join(row) + " |\n" for row in rows)
        with open(directory / "bench.csv", "w", encoding="utf-8", newline="") as f:
            fields = ["row", "program", "unit", "median", "min", "max", "runs", "imagefs is", "note"]
            writer = csv.DictWriter(f, fields)
            writer.writeheader()
            writer.writerows(self.lines)
