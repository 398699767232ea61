"""Active runs of MLflow and Weights & Biases learn which job they are; stand-ins have the published names."""

from pathlib import Path

from tests.unit.backends.hooks.scripts import run

MLFLOW = """
    import sys, threading, types
    posts = []
    class Client:
        def log_batch(self, run_id, metrics=(), params=(), tags=(), synchronous=None):
            answer()
            posts.append((run_id, {each.key: each.value for each in (*metrics, *tags)}))
    class Entity:
        def __init__(self, key, value, timestamp=0, step=0):
            self.key, self.value = key, value
    def answer(): pass
    local = threading.local()
    mlflow = types.ModuleType("mlflow")
    mlflow.active_run = lambda: getattr(local, "run", None)
    mlflow.MlflowClient = Client
    mlflow.entities = types.SimpleNamespace(Metric=Entity, RunTag=Entity)
    sys.modules["mlflow"] = mlflow
    def start_run():
        local.run = types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))
    import atexit
    atexit.register(lambda: print(posts))
"""
WANDB = """
    import sys, types
    class Told(dict):
        def update(self, told, allow_val_change=None):
            super().update(told)
    wandb = types.ModuleType("wandb")
    wandb.run = types.SimpleNamespace(config=Told(), summary=Told())
    sys.modules["wandb"] = wandb
    import atexit
    told = wandb.run
    atexit.register(lambda: print(told.config, {"steps": told.summary["tidewatt"]["steps"]}))
"""
JOB = {
    "TIDEWATT_JOB_ID": "12",
    "TIDEWATT_ATTEMPT": "12.1",
    "TIDEWATT_JOB_REGION": "local",
    "TIDEWATT_JOB_ZONE": "DE",
    "TIDEWATT_JOB_WINDOW": "2026-03-10T09:00:00Z/2026-03-10T11:00:00Z",
}


def test_active_mlflow_run_is_tagged_and_gets_the_counts_at_the_end(tmp_path: Path) -> None:
    out, complaints = run(
        MLFLOW
        + "    hooks.steps(2)\n    start_run()\n    hooks.steps(3); hooks.flush()\n    local.run = None",
        tmp_path,
        JOB,
    )
    assert complaints == ""
    (first_run, tags), (last_run, metrics) = eval(out)
    assert first_run == last_run == "r1"
    assert tags == {
        "tidewatt.job": "12",
        "tidewatt.attempt": "12.1",
        "tidewatt.region": "local",
        "tidewatt.zone": "DE",
        "tidewatt.planned_window": JOB["TIDEWATT_JOB_WINDOW"],
    }
    assert metrics["tidewatt.steps"] == 5
    assert metrics["tidewatt.seconds"] >= 0


def test_mlflow_server_that_does_not_answer_holds_nothing_up_but_the_end_for_two_seconds(
    tmp_path: Path,
) -> None:
    out, _ = run(
        MLFLOW
        + """
    import time
    def answer(): time.sleep(60)
    start_run()
    begun = time.monotonic()
    for _ in range(100): hooks.steps(1); hooks.flush()
    print(time.monotonic() - begun < 20)
    from tidewatt.backends.hooks import trackers
    trackers._PATIENCE_S = 0.05
    """,
        tmp_path,
        JOB,
    )
    assert out == "True\n[]\n"


def test_run_without_mlflow_or_with_a_broken_one_trains_on(tmp_path: Path) -> None:
    out, complaints = run(
        """
        import sys, types
        sys.modules["mlflow"] = types.ModuleType("mlflow")
        sys.modules["wandb"] = types.SimpleNamespace(run=object())
        hooks.steps(1); hooks.flush()
        print("trained")
        """,
        tmp_path,
        JOB,
    )
    assert (out, complaints) == ("trained\n", "")


def test_only_the_first_process_of_a_job_tells_trackers(tmp_path: Path) -> None:
    out, _ = run(MLFLOW + "    start_run(); hooks.steps(1); hooks.flush()", tmp_path, JOB | {"RANK": "1"})
    assert out == "[]\n"


def test_active_run_of_weights_and_biases_is_told(tmp_path: Path) -> None:
    out, complaints = run(WANDB + "    hooks.steps(5); hooks.flush()\n    wandb.run = None", tmp_path, JOB)
    assert complaints == ""
    assert "'job': '12'" in out
    assert "'zone': 'DE'" in out
    assert out.endswith("{'steps': 5}\n")


def test_nothing_is_told_in_a_job_that_tidewatt_did_not_start(tmp_path: Path) -> None:
    out, _ = run(MLFLOW + "    start_run(); hooks.steps(1); hooks.flush()", None, cwd=tmp_path)
    assert out == "[]\n"
