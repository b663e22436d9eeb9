"""Times single calls beside the original's protocol: link, open, work, close, unlink; two commits.

    python benches/original_protocol.py [calls]

Both sides do the same work in one run, in turns; medians and ratios are printed. The original's
side is an adapter over Python's sqlite3, with its normal forms and key computed by this package:
its own are slower.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fleet import original_lock

from tirastore import TiraStore, make_key, make_program_hash, normalize_schedule

SOURCE = "#include <tiramisu/tiramisu.h>\n" + "".join(
    f"    computation c{i}({{i, j}}, A(i, {i}) * B({i}, j)); // statement {i}\n" for i in range(45)
)
TIMES = [0.5 + i / 1000 for i in range(30)]


def schedule(number: int) -> str:
    """Return a schedule of usual length."""
    return (
        f"T3(L0,L1,L2,32,32,{number},comps=['comp00', 'comp01'])|P(L0,comps=['comp00', 'comp01'])"
    )


class Original:
    """The original's protocol."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=5)
        for pragma in (
            "journal_mode=DELETE",
            "busy_timeout=0",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def record(self, text: str) -> None:
        normal = normalize_schedule(text)
        program = make_program_hash(SOURCE)
        key = make_key(program, text)
        result = json.dumps({"is_legal": True, "execution_times": TIMES}, separators=(",", ":"))
        with original_lock(self.path.with_suffix(".db.lock")):
            connection = self.connect()
            found = connection.execute("SELECT 1 FROM programs WHERE program_hash = ?", (program,))
            if found.fetchone() is None:
                connection.execute("INSERT INTO programs VALUES (?, ?, ?)", (program, "p", SOURCE))
                connection.commit()
            connection.close()
            connection = self.connect()
            connection.execute("SELECT 1 FROM records WHERE key = ?", (key,)).fetchone()
            now = datetime.now(UTC).isoformat()
            row = (key, program, normal, result, "host", "user", now, now, "")
            connection.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.commit()
            connection.close()

    def lookup(self, text: str) -> object:
        key = make_key(make_program_hash(SOURCE), text)
        with original_lock(self.path.with_suffix(".db.lock")):
            connection = self.connect()
            sql = (
                "SELECT r.*, p.program_name, p.source_code FROM records r"
                " JOIN programs p ON r.program_hash = p.program_hash WHERE r.key = ?"
            )
            row = connection.execute(sql, (key,)).fetchone()
            connection.close()
        return json.loads(row[3])


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as directory:
        ours = TiraStore(Path(directory, "ours.db"), cpu_model="bench", slurm_cpus="1")
        theirs = Original(Path(directory, "theirs.db"))
        # The same tables and indexes on both sides: those of a store of ours.
        TiraStore(theirs.path, cpu_model="bench", slurm_cpus="1", lock="hardlink")
        contenders = {
            "record": (
                lambda text: ours.record("p", SOURCE, text, is_legal=True, execution_times=TIMES),
                theirs.record,
            ),
            "lookup": (lambda text: ours.lookup("p", SOURCE, text), theirs.lookup),
        }
        print(f"{calls} calls each, medians in milliseconds; source {len(SOURCE)} bytes, 30 times")
        for name, sides in contenders.items():
            samples: tuple[list[float], list[float]] = ([], [])
            for number in range(calls):
                for side, sample in zip(sides, samples, strict=True):
                    began = time.perf_counter()
                    side(schedule(number))
                    sample.append((time.perf_counter() - began) * 1e3)
            mine, original = map(statistics.median, samples)
            ratio = original / mine
            print(f"{name:8} ours {mine:7.3f}  original {original:7.3f}  ratio {ratio:5.2f}")


if __name__ == "__main__":
    main()
