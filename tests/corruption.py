"""Damages copies of a store at seeded positions and calls everything; a process of its own.

``python corruption.py TEMPLATE DIRECTORY FIRST LAST`` prints one JSON line for each seed.
"""

import contextlib
import json
import random
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support import (
    contents,
    old_store,
    open_store,
    reference_key,
    reference_normal_schedule,
    reference_program_hash,
    schedule,
)

from tirastore import Measurement, TiraStore, TiraStoreError, VerifyReport

PROGRAMS = 6
SCHEDULES = 25
PAGE = 4096


def source(number: int) -> str:
    """Return one of several programs: the last ones fill pages of their own."""
    return f"void p{number}() {{ {'work(); ' * (40 * number * number)}}}"


def make_template(path: Path) -> None:
    """Make a store with inner pages, overflow pages, free pages, further names, and old rows."""
    old_store(path, [(schedule(500), '{"is_legal": true, "execution_times": [1, 2e-05]}')])
    with open_store(path) as store:
        store.record_batch(
            [
                Measurement(f"p{p}", source(p), schedule(s), s % 5 > 0, [p + s / 8, 0.1])
                for p in range(PROGRAMS)
                for s in range(SCHEDULES)
            ]
        )
        store.record("long", source(0), schedule(600), True, [n / 7 for n in range(2000)])
        store.record("another name", source(1), schedule(0), False)
        for key in store.keys(limit=20):
            store.delete(key)


def damage(content: bytes, random: random.Random) -> bytes:
    """Return the file with some bytes changed, a page lost, or its end cut off."""
    damaged = bytearray(content)
    kind = random.choice(["bits", "bits", "bytes", "bytes", "header", "run", "page", "swap", "cut"])
    pages = len(damaged) // PAGE
    if kind == "bits":
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    elif kind == "bytes":
        for _ in range(random.randint(1, 40)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
    elif kind == "header":
        # The first bytes of a page say what it is and where its rows are.
        page = random.randrange(pages) * PAGE + (100 if random.random() < 0.1 else 0)
        for _ in range(random.randint(1, 4)):
            damaged[page + random.randrange(40)] = random.randrange(256)
    elif kind == "run":
        start = random.randrange(len(damaged))
        length = min(random.randint(1, 600), len(damaged) - start)
        damaged[start : start + length] = random.randbytes(length)
    elif kind == "page":
        page = random.randrange(1, pages) * PAGE
        damaged[page : page + PAGE] = (
            bytes(PAGE) if random.random() < 0.5 else random.randbytes(PAGE)
        )
    elif kind == "swap":
        one, other = (random.randrange(1, pages) * PAGE for _ in range(2))
        damaged[one : one + PAGE], damaged[other : other + PAGE] = (
            content[other : other + PAGE],
            content[one : one + PAGE],
        )
    else:
        del damaged[random.randrange(1, len(damaged)) :]
    return bytes(damaged)


def calls(directory: Path) -> Iterator[tuple[str, Callable[[TiraStore], Any]]]:
    """Return every kind of call, reads first."""
    texts = [(f"p{p}", source(p), schedule(s)) for p in range(PROGRAMS) for s in (0, 7, 24)]
    yield "stats", lambda store: store.stats()
    yield "len", len
    yield "html", lambda store: store._repr_html_()
    yield "machine", lambda store: (store.cpu_model, store.slurm_cpus)
    for text in texts:
        yield "lookup", lambda store, text=text: store.lookup(*text)
        yield "contains", lambda store, text=text: store.contains(*text)
    yield "lookup_many", lambda store: store.lookup_many(texts)
    yield "contains_many", lambda store: store.contains_many(texts)
    for name, text, _ in texts[::3]:
        yield "records", lambda store, name=name, text=text: store.get_program_records(name, text)
        yield "source", lambda store, name=name: store.get_program_source(name)
    yield "another name", lambda store: store.get_program_source("another name")
    yield "search", lambda store: list(store.search(columns=["features", "speedup", "source_code"]))
    yield "narrow", lambda store: store.search([("program_name", "in", ["p1", "p3"])])
    yield "sorted", lambda store: store.search(sort_by=["program_name", "min_time"], limit=5)
    yield "scan", lambda store: store.scan(batch_size=20).read_all()
    yield "programs", lambda store: (store.programs(), store.best(k=2))
    yield "get", lambda store: [store.get(key) for key in store.keys(limit=40)]
    yield "keys", lambda store: store.keys(after=store.keys(limit=5)[-1])
    yield "export", lambda store: store.export(directory / "all.json")
    yield "lines", lambda store: store.export(directory / "all.jsonl", "jsonl")
    yield "backup", lambda store: store.backup(directory / "backup.db")
    yield "checked", lambda store: store.backup(directory / "checked.db", verify=True)
    for number in range(3):
        yield (
            "record",
            lambda store, number=number: store.record(
                "new", source(number), schedule(900 + number), True, [1.0]
            ),
        )
    yield "overwrite", lambda store: store.record(*texts[1], True, [2.0], overwrite=True)
    yield (
        "batch",
        lambda store: store.record_batch(
            [Measurement("batch", source(9), schedule(n), True, [float(n)]) for n in range(300)]
        ),
    )
    for number in (7, 70):
        yield "delete", lambda store, number=number: store.delete(store.keys()[number])
    yield "verify again", lambda store: store.verify()


def facts(path: Path) -> set[tuple[Any, ...]] | None:
    """Return what a verification vouches for, read with another SQLite; ``None`` if it cannot be.

    That is all but what no hash covers: times that are still numbers, hosts, users, projects.
    """
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        try:
            programs = connection.execute(
                "SELECT program_hash, source_code FROM programs NOT INDEXED"
            )
            rows: set[tuple[Any, ...]] = set()
            for program_hash, text in programs:
                if reference_program_hash(text) != program_hash:
                    return None
                rows.add(("program", program_hash))
            records = connection.execute(
                "SELECT key, program_hash, schedule, result_json FROM records NOT INDEXED"
            )
            for key, program_hash, text, result in records:
                verdict = json.loads(result)["is_legal"]
                if reference_key(program_hash, text) != key:
                    return None
                if reference_normal_schedule(text) != text or verdict not in (True, False):
                    return None
                rows.add(("record", key))
        except (sqlite3.Error, ValueError, TypeError, KeyError, AttributeError, UnicodeError):
            return None
        return rows


class Trial:
    """Calls on one damaged copy, and what was wrong with them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wrong: list[str] = []
        self.raised = 0

    def attempt(self, name: str, call: Callable[[], Any]) -> Any:
        """Return what a call answers; an error must be one of ours, and leave the files alone."""
        before = contents(self.directory)
        try:
            return call()
        except (TiraStoreError, OSError):
            self.raised += 1
            if contents(self.directory) != before:
                self.wrong.append(f"{name}: failed and left something behind")
        except IndexError:  # of the list of keys, not of the store
            pass
        except BaseException as error:  # noqa: BLE001 -- a panic is no Exception
            # What keys() says where the index lists a key that no record has.
            if not isinstance(error, ValueError) or "after: no record" not in str(error):
                self.wrong.append(f"{name}: {type(error).__name__}: {error}")
        return None

    def check(self, report: VerifyReport | None, *, matches: bool) -> None:
        """Compare a verification with what another SQLite reads."""
        if report is not None and report.ok and not matches:
            self.wrong.append("verify: found nothing, although the content does not match")


def run(template: Path, directory: Path, seed: int) -> dict[str, Any]:
    """Damage a copy with one seed, call everything, and tell what went wrong with the calls."""
    path = directory / "s.db"
    path.write_bytes(damage(template.read_bytes(), random.Random(seed)))
    matches = facts(path) == facts(template)
    trial = Trial(directory)
    store = trial.attempt("open", lambda: open_store(path, lock_timeout=5.0))
    found = 0
    if store is not None:
        report = trial.attempt("verify", store.verify)
        trial.check(report, matches=matches)
        found = 1 if report is None else len(report.findings)
        for name, call in calls(directory):
            trial.attempt(name, lambda call=call: call(store))
    told = {"seed": seed, "wrong": trial.wrong, "raised": trial.raised, "found": found}
    return {**told, "opened": store is not None, "matches": matches}


def main() -> None:
    """Run the seeds FIRST to LAST - 1."""
    warnings.simplefilter("ignore")
    template, directory = Path(sys.argv[1]), Path(sys.argv[2])
    for seed in range(int(sys.argv[3]), int(sys.argv[4])):
        print(f"seed {seed}", file=sys.stderr, flush=True)
        place = directory / str(seed)
        place.mkdir()
        print(json.dumps(run(template, place, seed)), flush=True)


if __name__ == "__main__":
    main()
