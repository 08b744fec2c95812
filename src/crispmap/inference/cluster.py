"""Blocks as tasks of Dask: on the processes of this machine, or on any cluster that runs a Dask scheduler.

A task takes the job and one block and returns what is to be written of it; what a worker has opened stays open for
its next tasks. A task whose worker is lost is done by another. Nothing is written by workers: the maps grow where the
command runs, and their bytes are those of a run without Dask.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import ClusterError, CrispmapError
from crispmap.geo.grid import Block
from crispmap.inference.job import MapJob
from crispmap.inference.work import ScoreWork

if TYPE_CHECKING:
    from distributed import Client

Arrays = Sequence[NDArray[np.generic]] | None
"""What is to be written of a block, one array an output; None where no pixel is valid."""
Encode = Callable[[ScoreWork, Block, Executor], Arrays]
"""Computes a block and returns what is to be written of it. Sent to the workers."""

_TASKS_A_WORKER = 2  # blocks under way for every thread of a worker: one computed, one on its way
_THREADS_A_WORKER = 2  # blocks a local worker has in hand at a time, so that reading and computing overlap
_CONNECT_S = 15
_LOOK_S = 1
_REMEDY = "run the same command again: finished blocks are kept; dask's logs of the workers have more"


@contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """Start worker processes on this machine, and end them with the context.

    Raises:
        ClusterError: If Dask is not installed, or its processes do not start.
    """
    distributed = _distributed()
    settings = {
        "OMP_NUM_THREADS": "1",  # every thread of a worker computes on one core
        "OMP_WAIT_POLICY": "PASSIVE",
        "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",  # failures are reported once, where the command runs
    }
    try:
        cluster = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=_THREADS_A_WORKER, processes=True, dashboard_address="127.0.0.1:0",
            silence_logs="CRITICAL", memory_limit=0, env=settings,
        )  # fmt: skip
    except (OSError, TimeoutError, RuntimeError) as error:
        raise ClusterError(
            f"{workers} local workers cannot be started: {error}.",
            expected="room for one more process a worker",
            remedy="ask for fewer workers with workers=",
        ) from error
    with cluster, distributed.Client(cluster) as client:
        try:
            yield client
        finally:
            with suppress(Exception):  # a worker with threads of its own takes seconds to end
                client.run(_close_opened)


@contextmanager
def remote_cluster(address: str) -> Iterator[Client]:
    """Connect to a running Dask scheduler.

    Raises:
        ClusterError: If Dask is not installed, or the scheduler does not answer or has workers of another version.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(address, timeout=_CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"The scheduler {address} does not answer: {error}.",
            expected="the address of a running Dask scheduler, such as tcp://10.0.0.1:8786",
            remedy="start one with: dask scheduler, and workers with: dask worker ADDRESS",
        ) from error
    with client:
        _check_workers(client, address)
        yield client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(
            "Dask is not installed.",
            expected="crispmap with its extra for clusters",
            remedy="pip install 'crispmap[cluster]', or leave out workers= and scheduler=",
        ) from error
    return distributed


def _check_workers(client: Client, address: str) -> None:
    """Raise ClusterError unless every worker that answers runs this version of crispmap."""
    own = version("crispmap")
    try:
        answers = list(client.run(_worker_version, on_error="return").values())
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"The scheduler {address} was lost: {error}.", expected="a scheduler that lives", remedy=_REMEDY
        ) from error
    missing = next((one for one in answers if isinstance(one, ImportError)), None)
    if missing is not None:
        raise ClusterError(
            f"The workers of {address} have no crispmap: {missing}.",
            expected=f"crispmap {own} on every worker",
            remedy="install it in the environment the workers run in",
        )
    found = {one for one in answers if isinstance(one, str)}  # the others died meanwhile
    if not found:
        raise ClusterError(
            f"The scheduler {address} has no workers.",
            expected="one worker or more",
            remedy=f"start some with: dask worker {address}",
        )
    others = found - {own}
    if others:
        raise ClusterError(
            f"Workers of {address} run crispmap {', '.join(sorted(others))}; here it is {own}.",
            expected="one version everywhere, for a map must not depend on where its blocks were made",
            remedy="install this version on the workers",
        )


def _worker_version() -> str:
    return version("crispmap")


def work_on_cluster(
    client: Client,
    job: MapJob,
    encode: Encode,
    blocks: Iterable[Block],
    *,
    threads: int | None,
    deliver: Callable[[Block, Arrays], None],
) -> None:
    """Work on all blocks, a few a worker at a time; ``deliver`` is called here with what is to be written of each.

    ``threads`` compute in every worker, by default as many as it was started with. Workers must be able to read the
    paths of the job.

    Raises:
        ClusterError: If the scheduler is lost, or a block's workers are lost again and again.
        CrispmapError: As the work itself does.
    """
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker

    waiting = iter(blocks)
    running: dict[Any, Block] = {}
    finished: SimpleQueue[Any] = SimpleQueue()

    def begin(count: int) -> None:
        for block in islice(waiting, count):
            future = client.submit(_work_on_block, job, threads, encode, block, pure=False)
            running[future] = block
            future.add_done_callback(finished.put)

    try:
        begin(max(1, sum(client.nthreads().values())) * _TASKS_A_WORKER)
        while running:
            future = _next(finished, client)
            block, result = running.pop(future), future.result()
            if isinstance(result, CrispmapError):
                raise result
            deliver(block, result)
            future.release()
            begin(1)
    except KilledWorker as error:
        raise ClusterError(
            f"Workers died again and again over one block: {error}.",
            expected="workers that live",
            remedy=f"give them more memory, or make the blocks smaller; {_REMEDY}",
        ) from error
    except (CommClosedError, FutureCancelledError, TimeoutError) as error:
        raise ClusterError(
            f"The scheduler was lost: {error}.", expected="a scheduler that lives as long as the work", remedy=_REMEDY
        ) from error
    finally:
        if client.status == "running":
            client.cancel(list(running))


def _next(finished: SimpleQueue[Any], client: Client) -> Any:
    """Return the next future that is done."""
    while True:
        try:
            return finished.get(timeout=_LOOK_S)
        except Empty:
            if client.status != "running":
                raise TimeoutError("it no longer answers") from None


_opened: dict[MapJob, tuple[ScoreWork, Executor, ExitStack]] = {}
_opening = threading.Lock()


def _work_on_block(job: MapJob, threads: int | None, encode: Encode, block: Block) -> Arrays | CrispmapError:
    """Do one block, on a worker; errors a person can fix are returned, for not every cause can be sent."""
    try:
        work, pool = _open(job, threads)
        return encode(work, block, pool)
    except CrispmapError as error:
        return error


def _open(job: MapJob, threads: int | None) -> tuple[ScoreWork, Executor]:
    """Return a job opened in this process; it stays open until another takes its place or the process ends."""
    from distributed import get_worker

    with _opening:
        if job not in _opened:
            _close_opened()
            worker = get_worker()
            threads = threads or int(worker.state.nthreads)
            choice = replace(job.engine, threads=threads, device=_device(job.engine.device, worker.name))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # shown already, where the command runs
                stack = ExitStack()
                work = stack.enter_context(job.opened()).work(choice)
            _opened[job] = work, ThreadPoolExecutor(threads, thread_name_prefix="compute"), stack
        return _opened[job][:2]


def _close_opened() -> None:
    """Close what is open in this process."""
    while _opened:
        _, (_, pool, stack) = _opened.popitem()
        pool.shutdown()
        stack.close()


def _device(device: str, worker: object) -> str:
    """Return the device of one worker: those of a machine with several GPUs share them out by their number."""
    from crispmap.models.device import cuda_may_be_here

    if device == "cpu" or not cuda_may_be_here():
        return device
    import torch

    if torch.cuda.device_count() < 2 or not str(worker).isdigit():
        return device
    return f"cuda:{int(str(worker)) % torch.cuda.device_count()}"
