"""Operations that do not work, for the checks to find, and how a report is read."""

from __future__ import annotations

from click.testing import CliRunner, Result

from tirastore.cli import main
from tirastore.doctor import Report, Verdict

OK, NOTE, PROBLEM = Verdict.OK, Verdict.NOTE, Verdict.PROBLEM
CLI = "import sys; from tirastore.cli import main; main(sys.argv[1:])"

# Broken primitives, as code that runs in the processes that race.
EVERYBODY_WINS = """
from pathlib import Path
def swallowing(operation):
    def broken(self, target):
        try:
            operation(self, target)
        except OSError:
            pass
    return broken
"""
RENAME_FOR_ALL = EVERYBODY_WINS + "Path.rename = swallowing(Path.rename)"
LINK_FOR_ALL = EVERYBODY_WINS + "Path.hardlink_to = swallowing(Path.hardlink_to)"
REFUSED = """
from pathlib import Path
def refused(self, target):
    raise OSError({errno}, "refused")
Path.{operation} = refused
"""
SLOW_REMOVAL = """
import os, time
rmdir = os.rmdir
os.rmdir = lambda *path, **options: (time.sleep(0.02), rmdir(*path, **options))
"""
# What a client with a cache of half a second answers.
CACHED = """
import os, time
from pathlib import Path
def cached(ask):
    answers = {}
    def remembered(key, *more):
        when, answer = answers.get((key, *more), (0, None))
        if time.monotonic() - when > 0.5:
            when, answer = time.monotonic(), ask(key, *more)
            answers[key, *more] = when, answer
        return answer
    return remembered
"""


class CachingFileSystem:
    """A file system that is not taken for coherent."""

    kind, magic, coherent, local, reason = "fuse", 0x65735546, False, False, "fuse may cache"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)], env={"COLUMNS": "200"})


def verdicts(report: Report) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in report.findings}
