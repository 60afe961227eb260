"""MLflow beside a run: everything arrives, and nothing of it can hurt the run."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest

from airbrush_cli.learning import tracking
from airbrush_cli.learning.run import Run, read_record
from airbrush_cli.monitor.gather import Watcher
from airbrush_cli.monitor.store import tracked

PICTURE = np.full((8, 6, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a store: its tables take seconds to make."""
    pytest.importorskip("mlflow", reason="tracking needs the extra: pip install 'airbrush[train]'")
    pytest.importorskip("sqlalchemy", reason="tracking needs the extra: pip install 'airbrush[train]'")
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.make_store(tracking.store_uri(out))
    return out


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_what_a_run_logs_arrives(store: Path) -> None:
    run = Run.create(store, "ppo", parameters={"agent.gamma": 0.99}, seeds={"seed": 7}, hashes={"luts": "ab"})
    assert tracking.attach(run, store, "painting")
    for step in range(1500):
        run.log(step, reward_mean=step / 10, lpips=math.nan if step == 3 else 0.5)
    run.epoch(1, target=PICTURE, canvas=PICTURE, strokes=np.zeros((0, 15)))
    run.event("kl", 9, "KL is 0.9")
    run.finish("done", lpips=0.4)
    known = read_record(run.folder).tracking
    assert known is not None and known.experiment == "painting"
    client = tracking._client(known.uri)
    there = client.get_run(known.run_id)
    assert there.info.status == "FINISHED"
    assert there.data.params["agent.gamma"] == "0.99" and there.data.params["seed.seed"] == "7"
    assert there.data.tags["sha256.luts"] == "ab" and there.data.tags["event.kl"] == "step 9: KL is 0.9"
    assert there.data.metrics["final.lpips"] == 0.4
    history = client.get_metric_history(known.run_id, "reward_mean")
    assert sorted((point.step, point.value) for point in history) == [(step, step / 10) for step in range(1500)]
    pictures = {item.path for item in client.list_artifacts(known.run_id, "monitor/epoch_000001")}
    assert {"monitor/epoch_000001/target.png", "monitor/epoch_000001/strokes.yaml"} <= pictures

    again = Run.open(run.folder)
    assert tracking.attach(again, store, "painting")
    again.finish("interrupted")
    assert read_record(run.folder).tracking == known
    assert client.get_run(known.run_id).info.status == "KILLED"


def test_what_ended_is_logged_at_once(store: Path, tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "painting.png").write_bytes(b"picture")
    uri = tracking.store_uri(store)
    assert uri
    tracking.log_once(
        uri, "search", "trial-0003", {"agent.gamma": 0.9}, {"lpips/cat": 0.3}, {1: -0.5, 2: -0.4}, {"study": "night"},
        [tmp_path / "cat" / "painting.png", tmp_path / "gone.yaml"],
    )  # fmt: skip
    (found,) = [run for run in tracked(store / "mlflow.db", ()) if run.name == "trial-0003"]
    assert (found.experiment, found.status, found.metrics["lpips/cat"]) == ("search", "FINISHED", 0.3)
    (item,) = tracking._client(uri).list_artifacts(found.run_id, "paintings/cat")
    assert item.path == "paintings/cat/painting.png"


def test_the_monitor_tells_of_runs_whose_folder_is_not_here(store: Path, tmp_path: Path) -> None:
    here, there = Run.create(store, "ppo"), Run.create(tmp_path, "ppo", prefix="elsewhere")
    assert tracking.attach(here, store, "painting") and tracking.attach(there, store, "painting")
    assert [run.name for run in Watcher(store).look().elsewhere] == [there.record.name]
    here.finish()
    there.finish()
    assert Watcher(store).look().elsewhere == ()
    (tmp_path / "mlflow.db").write_text("no database")
    assert Watcher(tmp_path).look().elsewhere == ()


def test_without_mlflow_a_run_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    run = Run.create(tmp_path, "ppo")
    assert not tracking.attach(run, tmp_path, "painting")
    run.log(1, lpips=0.5)
    run.finish()
    tracking.log_once(None, "search", "trial", {}, {}, {}, {}, [])
    assert not list(tmp_path.glob("mlflow*"))


def test_a_store_out_of_reach_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow", reason="tracking needs the extra: pip install 'airbrush[train]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://at/all")
    run = Run.create(tmp_path, "ppo")
    with caplog.at_level(logging.WARNING):
        assert not tracking.attach(run, tmp_path, "painting")
    assert len(caplog.records) == 1
    run.finish()


class Deaf:
    """A store that went away."""

    def __getattr__(self, name: str) -> object:
        def refuse(*arguments: object, **more: object) -> None:
            raise ConnectionError("nobody is there")

        return refuse


def test_a_store_that_goes_away_ends_the_logging_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow", reason="tracking needs the extra: pip install 'airbrush[train]'")
    run = Run.create(tmp_path, "ppo")
    run.sinks.append(tracking.MlflowSink(Deaf(), "1", run.folder))  # type: ignore[arg-type]
    for step in range(50):
        run.log(step, lpips=0.5)
        run.event("note", step, "well")
    with caplog.at_level(logging.WARNING):
        run.finish()
    warnings = [record.message.split(";")[0] for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["MLflow: nobody is there"]
    assert run.record.state == "done"
