"""Blocks shared out to Dask's workers give the bytes of a run without them, also where workers or schedulers die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import distributed
import pytest
from map_jobs import SCHEMA, card, make_maps, small_job

from crispmap.errors import ClusterError, SceneError
from crispmap.inference import cluster
from crispmap.inference.options import PredictOptions
from crispmap.inference.products import ClassMap, Scores
from crispmap.inference.run import Output
from crispmap.models.file import save_model
from crispmap.models.smp.network import unet_lite0
from crispmap.raster.refs import SceneRef
from recorder import Recorder

MEANS = PredictOptions(engine="torch", block_px=64)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return small_job(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def workers():
    with cluster.local_cluster(2) as client:
        yield client


@pytest.fixture
def options(workers):
    return replace(MEANS, scheduler=workers.scheduler.address)


def outputs_in(folder):
    folder.mkdir(exist_ok=True)
    return [Output(ClassMap(), folder / "m.tif"), Output(Scores(), folder / "s.tif")]


def made(job, folder, options, **more):
    return [path.read_bytes() for path in make_maps(job, outputs_in(folder), SCHEMA, options=options, **more).paths]


@pytest.fixture(scope="module")
def expected(job, tmp_path_factory):
    return made(job, tmp_path_factory.mktemp("expected"), MEANS)


def test_workers_give_the_same_bytes(job, tmp_path, options, expected):
    assert made(job, tmp_path / "a", options) == expected
    assert made(job, tmp_path / "b", replace(options, block_px=128)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("halo_px", [None, 8])
@pytest.mark.filterwarnings("ignore:The map is not exact")
def test_workers_give_the_same_bytes_of_networks_that_pad(job, tmp_path, options, halo_px):
    network = unet_lite0(3, 3, depth=3, radius_px=56)
    model = save_model(tmp_path / "padded.safetensors", network, card("coarse", network, stride_px=8))
    job = replace(job, model=model, refiner=None, halo_px=halo_px, tile_px=128)
    assert made(job, tmp_path / "a", options) == made(job, tmp_path / "b", replace(MEANS, block_px=256))


def test_local_workers_give_the_same_bytes(job, tmp_path, expected):
    recorder = Recorder()
    result = make_maps(
        job, outputs_in(tmp_path / "a"), SCHEMA, options=replace(MEANS, workers=1), events=recorder
    )  # fmt: skip
    assert [path.read_bytes() for path in result.paths] == expected
    assert len(recorder.last.done) == 1 + result.blocks


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing_but_time(job, tmp_path, options, workers, expected):
    before = set(workers.run(os.getpid).values())
    killed = []

    def kill_one(done):
        if not killed:
            killed.append(min(before))
            os.kill(killed[0], signal.SIGKILL)

    assert made(job, tmp_path / "a", options, events=Recorder(kill_one)) == expected
    assert killed
    workers.wait_for_workers(2, timeout=60)


@pytest.mark.slow
def test_a_worker_that_dies_while_the_command_connects_costs_only_itself(
    job, tmp_path, options, workers, expected, monkeypatch
):
    victim, own = min(workers.run(os.getpid).values()), cluster.version("crispmap")

    def version_or_death():
        if os.getpid() == victim:
            os._exit(1)
        return own

    monkeypatch.setattr(cluster, "_worker_version", version_or_death)
    assert made(job, tmp_path / "a", options) == expected
    workers.wait_for_workers(2, timeout=60)
    assert victim not in workers.run(os.getpid).values()


def test_workers_without_crispmap_are_told(job, tmp_path, options, monkeypatch):
    def missing():
        raise ModuleNotFoundError("no crispmap")

    monkeypatch.setattr(cluster, "_worker_version", missing)
    with pytest.raises(ClusterError, match="have no crispmap"):
        made(job, tmp_path / "a", options)


def test_an_error_of_the_work_is_the_users_and_not_tried_again(job, tmp_path, options):
    path = tmp_path / "cut.tif"
    content = job.scene.path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SceneError, match=r"cut\.tif"):
        made(replace(job, scene=SceneRef.of(path)), tmp_path / "a", options)


def test_paths_are_found_by_workers_in_another_folder(job, tmp_path, options, expected, monkeypatch):
    monkeypatch.chdir(job.scene.path.parent)
    near = replace(
        job, scene=SceneRef.of("scene.tif"), model=job.model.relative_to(job.scene.path.parent),
        refiner=job.refiner.relative_to(job.scene.path.parent),
    )  # fmt: skip
    assert made(near, tmp_path / "a", options)[1:] == expected[1:]


def test_a_scheduler_that_does_not_answer_is_told(job, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    with pytest.raises(ClusterError, match=r"(?s)tcp://127\.0\.0\.1:9 does not answer.*dask scheduler"):
        made(job, tmp_path / "a", replace(MEANS, scheduler="tcp://127.0.0.1:9"))
    with pytest.raises(ClusterError, match="nonsense"):
        made(job, tmp_path / "b", replace(MEANS, scheduler="nonsense://x"))


ALONE = """
import sys, time
from distributed import LocalCluster
if __name__ == "__main__":
    settings = {"protocol": "tcp", "dashboard_address": "127.0.0.1:0", "silence_logs": "CRITICAL"}
    cluster = LocalCluster(n_workers=1, processes=False, **settings)
    print(cluster.scheduler_address, flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_scheduler_that_is_lost_leaves_work_to_go_on_with(job, tmp_path, expected):
    with subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        try:
            with pytest.raises(ClusterError, match=r"(?s)scheduler was lost.*same command again"):
                made(
                    job, tmp_path / "a", replace(MEANS, scheduler=address),
                    events=Recorder(lambda done: process.kill()),
                )  # fmt: skip
        finally:
            process.kill()
    result = make_maps(job, outputs_in(tmp_path / "a"), SCHEMA, options=MEANS)
    assert result.resumed > 0
    assert [path.read_bytes() for path in result.paths] == expected


def test_a_scheduler_without_workers_is_told(job, tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
        ) as empty,
        pytest.raises(ClusterError, match="no workers"),
    ):
        made(job, tmp_path / "a", replace(MEANS, scheduler=empty.scheduler_address))


def test_workers_of_another_version_are_told(job, tmp_path, options, monkeypatch):
    monkeypatch.setattr(cluster, "version", lambda name: "9.9")
    with pytest.raises(ClusterError, match=r"here it is 9\.9"):
        made(job, tmp_path / "a", options)


def test_without_dask_the_remedy_is_told(job, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"crispmap\[cluster\]"):
        made(job, tmp_path / "a", replace(MEANS, workers=2))


@pytest.mark.parametrize(
    ("device", "worker", "count", "expected"),
    [("cuda", 3, 2, "cuda:1"), ("auto", "0", 4, "cuda:0"), ("cuda", "gpu-node", 4, "cuda"), ("cpu", 1, 4, "cpu")],
)
def test_workers_of_a_machine_share_out_its_gpus(monkeypatch, device, worker, count, expected):
    monkeypatch.setattr("crispmap.models.device.cuda_may_be_here", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    assert cluster._device(device, worker) == expected
