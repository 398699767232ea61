"""Those for whom exports are made read them: huggingface_hub, CodeCarbon, prometheus_client, promtool."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.exports.made import account, job, ledger, receipt, report
from tests.exports.metric_rules import mistakes
from tests.grid.clients import told
from tidewatt.scheduler.exports import codecarbon, hugging_face, openmetrics, their_csv

GRAMS = (800.0, 0.25, 1.5e-05, 12_345_678.9)
HOSTILE = 'a"\\\n{}= \u2028'

CARD = """
from huggingface_hub import ModelCard
from huggingface_hub.hf_api import ModelInfo, _is_emission_within_threshold
def told(metadata):
    card = ModelCard(f"---\\n{metadata}---\\n# A model\\n")
    data = card.data.to_dict()["co2_eq_emissions"]
    info = ModelInfo(id="a/b", cardData={"co2_eq_emissions": data})
    grams = float(data["emissions"])
    near = _is_emission_within_threshold(info, grams * 0.999999, grams * 1.000001)
    return {"grams": grams, "near": near, "data": data}
print(json.dumps([told(each) for each in settings["cards"]]))
"""

# The board's widgets need dash, which has nothing to do with how it reads.
CARBON = """
import types
dash = types.ModuleType("dash")
dash.dash_table = types.ModuleType("dash.dash_table")
dash.dash_table.DataTable = types.SimpleNamespace
sys.modules |= {"dash": dash, "dash.dash_table": dash.dash_table}
import dataclasses, pandas
from codecarbon.output_methods.emissions_data import EmissionsData
from codecarbon.output_methods.file import FileOutput
from codecarbon.viz.data import Data
output = FileOutput("emissions.csv", settings["where"])
fields = {field.name: field for field in dataclasses.fields(EmissionsData)}
blank = {float: 0.0, int: 0}
told = {name: blank.get(field.type, "x") for name, field in fields.items()}
run = EmissionsData(**(told | {"timestamp": "2026-03-02T00:00:00"}))
fits = output.has_valid_headers(run)
table = pandas.read_csv(output.save_file_path)
rows = Data.get_project_data(table, "nlp").data
summary = Data.get_project_summary(rows)
output.out(run, None)
grown = pandas.read_csv(output.save_file_path)
print(json.dumps({
    "fits": fits, "columns": list(fields), "rows": len(table), "grown": len(grown),
    "total": summary["total"], "kinds": {name: str(kind) for name, kind in table.dtypes.items()},
    "empty": [name for name in table.columns if table[name].isna().all()],
}))
"""

METRICS = """
from prometheus_client.parser import text_string_to_metric_families as plain
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_form
def told(families):
    return sorted([each.name, sample.name, sorted(sample.labels.items()), sample.value]
                  for each in families for sample in each.samples)
print(json.dumps({"plain": told(plain(settings["plain"])), "open": told(open_form(settings["open"]))}))
"""


@pytest.fixture
def clients(require_engine: Callable[[str], None]) -> None:
    require_engine("clients")


@pytest.mark.usefixtures("clients")
def test_hugging_face_reads_the_same_grams(tmp_path: Path) -> None:
    receipts = [receipt(1, account(ledger(g=grams), pue_source=HOSTILE)) for grams in GRAMS]
    cards = [hugging_face.yaml_text([each], "fine-tuning") for each in receipts]
    for grams, read in zip(GRAMS, told(CARD, tmp_path, cards=cards), strict=True):
        assert read["grams"] == grams
        assert read["near"], f"its filter reads {grams} otherwise"
        assert read["data"]["training_type"] == "fine-tuning"
        assert HOSTILE in read["data"]["source"]


@pytest.mark.usefixtures("clients")
def test_codecarbon_reads_the_file_and_goes_on_with_it(tmp_path: Path) -> None:
    file = tmp_path / "emissions.csv"
    file.write_text(codecarbon.csv_text([receipt(1), receipt(2), receipt(3, project="vision")]))
    read = told(CARBON, tmp_path, where=str(tmp_path))
    assert read["fits"]
    assert tuple(read["columns"]) == codecarbon.COLUMNS
    assert (read["rows"], read["grown"]) == (3, 4)
    assert read["total"]["emissions"] == pytest.approx(1.6)  # two of project nlp, in kilograms
    assert read["total"]["energy_consumed"] == pytest.approx(6.5)
    assert read["total"]["duration"] == 7200
    numbers = ("emissions", "gpu_power", "pue", "energy_consumed")
    assert {read["kinds"][name] for name in numbers} <= {"float64", "int64"}
    assert "water_consumed" in read["empty"]
    assert "emissions" not in read["empty"]
    assert len(their_csv.read(file)) == 4


@pytest.mark.usefixtures("clients")
def test_prometheus_reads_both_forms_alike(tmp_path: Path) -> None:
    jobs = [job(1), job(2, project=HOSTILE)]
    plain, open_form = (openmetrics.text(jobs, report(), openmetrics=each) for each in (False, True))
    assert mistakes(plain) == []
    read = told(METRICS, tmp_path, plain=plain, open=open_form)
    assert read["plain"] == read["open"]
    values = {(sample, dict(labels).get("job")): value for _, sample, labels, value in read["plain"]}
    assert values["tidewatt_job_gpu_joules_total", "1"] == 7_200_000
    assert len(read["plain"]) == sum(1 for line in plain.splitlines() if line and line[0] != "#")


def test_linters_of_metrics_find_nothing(tmp_path: Path) -> None:
    page = openmetrics.text([job(1), job(2, project=HOSTILE)], report())
    assert mistakes(page) == []  # the rules of promtool, which need not be here
    if promtool := shutil.which("promtool"):
        command = [promtool, "check", "metrics"]
        done = subprocess.run(command, input=page, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), json.dumps(page)
