"""One of the processes that train a model together: `torchrun … -m isoloss.execution.ranks_main ARCHIVE DEVICE`.

Rank 0 is the worker of its conductor, as in `worker_main`; the others do as it says. On further machines the same
command joins them: only rank 0 needs a conductor.
"""

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from isoloss.core.errors import IsolossError
from isoloss.execution.lock import trunk_lock
from isoloss.execution.messages import Assignment, Failing, JobEnded, JobRefused
from isoloss.execution.worker_main import Cord, Voice
from isoloss.runs.archive import Archive
from isoloss.runs.underway import lock_path
from isoloss.training.job import Stopped

if TYPE_CHECKING:
    from isoloss.training.ranks import Ranks


def work(archive: Archive, ranks: "Ranks", cord: Cord | None, voice: Voice) -> None:
    """Train one assignment after another until rank 0 has no more, or is asked to stop."""
    while (told := ranks.share(_next(cord))) != "":
        assignment = Assignment.model_validate_json(told)
        try:
            busy = not _train(archive, ranks, assignment, cord, voice)
        except Stopped:
            return
        if cord is not None:
            voice.tell(JobEnded(busy=busy))
            cord.training.clear()


def _next(cord: Cord | None) -> str:
    """Return rank 0's next assignment as text, nothing when there are no more, and nothing on the others."""
    assignment = cord.next() if cord is not None else None
    if cord is None or assignment is None:
        return ""
    cord.training.set()
    return assignment.model_dump_json()


def _train(archive: Archive, ranks: "Ranks", assignment: Assignment, cord: Cord | None, voice: Voice) -> bool:
    """Train one assignment with the others unless somebody else holds its trunk; return whether it was trained."""
    from isoloss.training.sharded import run_sharded_trunk

    with trunk_lock(lock_path(archive.checkpoint_folder(assignment.job.trunk)), wanted=ranks.first) as held:
        if not ranks.agree(held):
            return False
        run_sharded_trunk(
            assignment.job, archive, ranks, report=voice.tell, stop=cord.cut.is_set if cord else lambda: False,
            checkpoint_seconds=assignment.checkpoint_seconds,
        )  # fmt: skip
        # Nobody lets go before all are through.
        return ranks.everybody(True)


def main() -> None:
    """Meet the others and serve the conductor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    voice = Voice.alone()
    code = 0
    try:
        from isoloss.training.ranks import Ranks

        ranks = Ranks.join(sys.argv[2])
        work(Archive(sys.argv[1]), ranks, Cord(sys.stdin) if ranks.first else None, voice)
        ranks.leave()
    except IsolossError as error:
        voice.tell(JobRefused.because(error))
        code = 1
    except Exception as error:  # the others wait for this process for ever unless it ends
        traceback.print_exc()
        voice.tell(Failing(text=f"process {os.environ.get('RANK')}: {type(error).__name__}: {error}"))
        code = 1
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
