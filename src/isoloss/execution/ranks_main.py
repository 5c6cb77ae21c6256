"""One of the processes that train a model together: `torchrun … -m isoloss.execution.ranks_main ARCHIVE DEVICE`.

Rank 0 is the worker of its main process, as in `worker_main`; the others do as it says. On further machines the same
command joins them: only rank 0 needs a main process.
"""

import os
import signal
import sys
import traceback
from contextlib import nullcontext
from typing import TYPE_CHECKING

from isoloss.core.errors import IsolossError
from isoloss.execution.lock import trunk_lock
from isoloss.execution.messages import Assignment, Failing, JobEnded, JobRefused
from isoloss.execution.worker_main import Control, EventPipe
from isoloss.runs.archive import Archive
from isoloss.runs.underway import lock_path
from isoloss.training.job import Stopped

if TYPE_CHECKING:
    from isoloss.training.ranks import Ranks


def work(archive: Archive, ranks: "Ranks", control: Control | None, events: EventPipe) -> None:
    """Train one assignment after another until rank 0 has no more, or is asked to stop."""
    while (line := ranks.share(_next(control))) != "":
        assignment = Assignment.model_validate_json(line)
        try:
            busy = not _train(archive, ranks, assignment, control, events)
        except Stopped:
            return
        if control is not None:
            events.send(JobEnded(busy=busy))
            control.training.clear()


def _next(control: Control | None) -> str:
    """Return rank 0's next assignment as text, nothing when there are no more, and nothing on the others."""
    assignment = control.next() if control is not None else None
    if control is None or assignment is None:
        return ""
    control.training.set()
    return assignment.model_dump_json()


def _train(
    archive: Archive, ranks: "Ranks", assignment: Assignment, control: Control | None, events: EventPipe
) -> bool:
    """Train one assignment with the others unless somebody else holds its trunk; return whether it was trained."""
    from isoloss.training.sharded import run_sharded_trunk

    path = lock_path(archive.checkpoint_folder(assignment.job.trunk))
    with trunk_lock(path) if ranks.first else nullcontext(False) as held:
        if not ranks.agree(held):
            return False
        run_sharded_trunk(
            assignment.job, archive, ranks, report=events.send,
            stop=control.closed.is_set if control else lambda: False, checkpoint_seconds=assignment.checkpoint_seconds,
        )  # fmt: skip
        # Nobody lets go before all are through.
        return ranks.everybody(True)


def main() -> None:
    """Meet the others and serve the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = EventPipe.alone()
    code = 0
    try:
        from isoloss.training.ranks import Ranks

        ranks = Ranks.join(sys.argv[2])
        work(Archive(sys.argv[1]), ranks, Control(sys.stdin) if ranks.first else None, events)
        ranks.leave()
    except IsolossError as error:
        events.send(JobRefused.because(error))
        code = 1
    except Exception as error:  # the others wait for this process for ever unless it ends
        traceback.print_exc()
        events.send(Failing(text=f"process {os.environ.get('RANK')}: {type(error).__name__}: {error}"))
        code = 1
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
