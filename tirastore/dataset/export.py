"""Writing a data set: a directory of rows, programs and a manifest."""

from __future__ import annotations

import collections
import json
import secrets
import shutil
import urllib.parse
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from tirastore.dataset.digest import ContentHash
from tirastore.dataset.selection import REASONS, SMALLEST_SPEEDUP, Selection
from tirastore.dataset.split import Split
from tirastore.dataset.writers import FORMATS, Format, Writer, open_writer
from tirastore.progress import progress
from tirastore.reports import DatasetReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tirastore.store import TiraStore

__all__ = ["COLUMNS", "MANIFEST", "Settings", "export_dataset"]

MANIFEST = "manifest.json"
#: Raised when rows, columns or the label change their meaning.
_VERSION = 1
#: What is read; `is_legal` and `source_code` are not columns of rows.
COLUMNS = (
    *("program_hash", "program_name", "key", "schedule", "is_legal", "execution_times"),
    *("features", "environment", "hostname", "source_project", "creation_date", "source_code"),
)
#: Records that are read at once, unless one program has more.
_CHUNK = 1 << 16
#: Programs that are read at once: for more hashes than that a search takes no index, and reads
#: the whole store.
_MOST_PROGRAMS = 1000
#: Files that are open at once.
_MOST_PARTITIONS = 1000
#: Bytes of the name of a folder, on every usual file system.
_LONGEST_NAME = 255


class Settings(NamedTuple):
    """What makes the difference between two data sets of one store; see the manifest."""

    format: Format
    partition_by: tuple[str, ...]
    split: tuple[float, ...]
    seed: int
    min_runs: int
    noise_filter: bool
    filters: Any


def export_dataset(store: TiraStore, path: Path, settings: Settings) -> DatasetReport:
    """Write a data set; see :meth:`tirastore.TiraStore.export_dataset`."""
    if settings.format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {settings.format!r}")
    if settings.min_runs < 1:
        raise ValueError(f"min_runs must be 1 or more, got {settings.min_runs}")
    for name, count in collections.Counter(settings.partition_by).items():
        if count > 1:
            raise ValueError(f"partition_by: the column {name!r} is given twice")
    # Filters that are none are refused as they were given, without those that are added to them.
    store.explain(settings.filters)
    _refuse_foreign(path)
    aside = path.parent / f".{path.name}.{secrets.token_hex(4)}.new"
    aside.mkdir()
    try:
        with _DataSet(aside, settings) as made:
            for records in _programs_of(store, settings.filters):
                made.add(records)
        manifest = made.manifest()
        manifest["store"] = {"cpu_model": store.cpu_model, "slurm_cpus": store.slurm_cpus}
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        (aside / MANIFEST).write_text(text + "\n", encoding="utf-8")
        _publish(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return DatasetReport(
        path,
        manifest["rows"],
        manifest["programs"],
        manifest["dropped"],
        manifest["content_sha256"],
    )


def _refuse_foreign(path: Path) -> None:
    """Only a data set is replaced: a wrong path must not cost anybody a directory or a file."""
    if not (path.exists() or path.is_symlink()) or (path.is_dir() and not any(path.iterdir())):
        return
    files = _files_of(path / MANIFEST)
    if files is None:
        raise FileExistsError(f"{path} is there and is no data set: remove it, or name another")
    for held in path.rglob("*"):
        name = held.relative_to(path).as_posix()
        if name not in files and (held.is_symlink() or not held.is_dir()):
            raise FileExistsError(
                f"{held} is no file of the data set there, which would be replaced with all that "
                "is in it: move it away, or name another directory"
            )


def _files_of(manifest: Path) -> set[str] | None:
    """Return the files of the data set that has this manifest; None if it is none of a data set."""
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None
    if not isinstance(found, dict) or "content_sha256" not in found:
        return None
    files = found.get("files")
    return {MANIFEST, *files} if isinstance(files, dict) else None


def _publish(aside: Path, path: Path) -> None:
    if path.exists():
        old = aside.with_suffix(".old")
        path.rename(old)
        aside.rename(path)
        shutil.rmtree(old)
    else:
        aside.rename(path)


def _programs_of(store: TiraStore, filters: Any) -> Iterator[Any]:
    """Read all records of some programs at a time, in the order of program hash and key.

    A program is read from one state of the store: its label compares two of its records.
    """
    hashes: list[str] = []
    waiting = read = 0
    sizes = store._core.program_sizes()  # noqa: SLF001
    with progress("writing the data set", sum(size for _, size in sizes)) as done:
        for program_hash, size in sizes:
            hashes.append(program_hash)
            waiting += size
            if waiting >= _CHUNK or len(hashes) >= _MOST_PROGRAMS:
                yield _records_of(store, hashes, filters)
                read += waiting
                done(read)
                hashes, waiting = [], 0
        # Of an empty store, too: its data set has the same files and columns as any other.
        if hashes or not sizes:
            yield _records_of(store, hashes, filters)


def _records_of(store: TiraStore, hashes: list[str], filters: Any) -> Any:
    wanted = ("program_hash", "in", hashes)
    any_of = [[wanted, *all_of] for all_of in _lists_of(filters)]
    search = store.search(any_of, columns=list(COLUMNS))
    records = search.to_arrow()
    keys = ("program_hash", "key")
    order = pa.table({name: records[name].cast(pa.string()) for name in keys})
    return records.take(pc.sort_indices(order, [(name, "ascending") for name in keys]))


def _lists_of(filters: Any) -> list[Any]:
    """Return the lists of tests, of which one has to hold; a test begins with a name."""
    if not filters:
        return [[]]
    is_one_list = all(test and isinstance(test[0], str) for test in filters)
    return [filters] if is_one_list else list(filters)


class _DataSet:
    """A data set that is being written into a directory."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.directory = directory
        self.settings = settings
        self.split = Split(settings.split, settings.seed)
        self.selection = Selection(settings.min_runs, settings.noise_filter)
        self.writers: dict[str, Writer] = {}
        self.files: collections.Counter[str] = collections.Counter()
        self.rows = dict.fromkeys(self.split.names, 0)
        self.programs = dict.fromkeys(self.split.names, 0)
        self.dropped = dict.fromkeys(REASONS, 0)
        self.read = 0
        self.schema: Any = None
        self.hashes = {"rows": ContentHash(), "programs": ContentHash()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        for writer in self.writers.values():
            writer.close()

    def add(self, records: Any) -> None:
        """Add all records of some programs, sorted."""
        rows, dropped = self.selection.apply(records)
        self.read += len(records)
        for reason, count in dropped.items():
            self.dropped[reason] += count
        hashes = rows["program_hash"].cast(pa.string())
        known = {of: self.split.part_of(of) for of in pc.unique(hashes).to_pylist()}
        parts = pa.array([known[of] for of in hashes.to_pylist()], pa.string())
        rows = rows.append_column("split", parts)
        self._add_programs(rows, hashes)
        rows = rows.drop_columns(["is_legal", "source_code"])
        self._check_partitions(rows.schema)
        self.schema = rows.schema
        self._hash("rows", rows)
        for part in self.split.names:
            of_part = rows.filter(pc.equal(rows["split"], part))
            self.rows[part] += len(of_part)
            self._write_partitions(part, of_part)

    def _add_programs(self, rows: Any, hashes: Any) -> None:
        """Add the programs of sorted rows: each row of theirs would repeat the source."""
        counts = collections.Counter(hashes.to_pylist())
        ends, firsts = 0, []
        for count in counts.values():
            firsts.append(ends)
            ends += count
        columns = ["program_hash", "program_name", "source_code", "split", "initial_time"]
        programs = rows.select(columns).take(pa.array(firsts, pa.int64()))
        programs = programs.append_column("n_rows", pa.array(list(counts.values()), pa.int64()))
        for part, count in collections.Counter(programs["split"].to_pylist()).items():
            self.programs[part] += count
        self._hash("programs", programs)
        self._write(f"programs.{self.settings.format}", programs)

    def _hash(self, of: str, table: Any) -> None:
        """Add all but the name: of several it is the one that was recorded first."""
        self.hashes[of].update(table.drop_columns(["program_name"]))

    def _check_partitions(self, schema: Any) -> None:
        for name in self.settings.partition_by:
            if name not in schema.names or pa.types.is_nested(schema.field(name).type):
                known = [field.name for field in schema if not pa.types.is_nested(field.type)]
                raise ValueError(f"partition_by: no column {name!r}; there are {', '.join(known)}")

    def _write_partitions(self, part: str, rows: Any) -> None:
        """Write the rows of a part: into one file, or one for each value of some columns."""
        ending, by = self.settings.format, self.settings.partition_by
        if not by:
            self._write(f"{part}.{ending}", rows)
            return
        groups: dict[tuple[Any, ...], list[int]] = {}
        for row, values in enumerate(zip(*(rows[name].to_pylist() for name in by), strict=True)):
            groups.setdefault(values, []).append(row)
        # The path has their values: readers refuse a column that is in both, with other types.
        rows = rows.drop_columns(list(by))
        for values, members in groups.items():
            pairs = zip(by, values, strict=True)
            folders = "/".join(_folder(name, value) for name, value in pairs)
            self._write(f"{part}/{folders}/rows.{ending}", rows.take(pa.array(members)))

    def _write(self, name: str, table: Any) -> None:
        writer = self.writers.get(name)
        if writer is None:
            if len(self.writers) > _MOST_PARTITIONS:
                raise ValueError(
                    f"partition_by={list(self.settings.partition_by)} makes more than "
                    f"{_MOST_PARTITIONS:,} files: name columns with fewer values"
                )
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = self.writers[name] = open_writer(path, self.settings.format, table.schema)
        writer.write(table)
        self.files[name] += len(table)

    def manifest(self) -> dict[str, Any]:
        """Return what the data set is: the same for the same content."""
        import tirastore  # noqa: PLC0415 -- which this is a part of

        hashes = {name: content.hexdigest() for name, content in self.hashes.items()}
        settings = self.settings._asdict()
        schema = {} if self.schema is None else {f.name: str(f.type) for f in self.schema}
        return {
            "version": _VERSION,
            "content_sha256": hashes["rows"],
            "programs_sha256": hashes["programs"],
            "rows": self.rows,
            "programs": self.programs,
            "records_read": self.read,
            "dropped": self.dropped,
            "label": f"speedup = initial_time / min_time, at least {SMALLEST_SPEEDUP}",
            "settings": {name: _plain(value) for name, value in settings.items()},
            "columns": schema,
            "files": dict(sorted(self.files.items())),
            "versions": {"tirastore": tirastore.__version__, "pyarrow": pa.__version__},
        }


def _folder(name: str, value: Any) -> str:
    """Return a column and its value as Hive's partitions spell them in a path."""
    spelled = (
        "__HIVE_DEFAULT_PARTITION__" if value is None else urllib.parse.quote(str(value), safe="")
    )
    folder = f"{name}={spelled}"
    if len(folder) > _LONGEST_NAME:
        raise ValueError(
            f"partition_by: the column {name!r} has a value that is too long for the name of a "
            f"folder, which has {_LONGEST_NAME} bytes at most: {str(value)[:40]!r}..."
        )
    return folder


def _plain(value: Any) -> Any:
    """Return a setting as JSON has it."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
