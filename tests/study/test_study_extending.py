"""A law, a measure and an executor of one's own, as docs/extending.md shows them; and what is said of a faulty law."""

import re
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import isoloss as il
from isoloss.complexity.measure import measure_tokens
from isoloss.core.consent import allow
from isoloss.core.errors import InputError
from isoloss.execution import executor
from isoloss.laws.registry import laws
from isoloss.runs.archive import Archive
from isoloss.study.run_plan import require_runnable
from isoloss.study.spec import Fit, Study
from isoloss.training.job import trunk_jobs
from laws_tables import simulated
from tiny_training import tiny_spec, write_corpus

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
NAMES = ("page_law", "page_kernel", "page_measure", "page_executor", "page_processes")
TRUTH = {"E": 0.0, "A": 0.5 * 1e5**0.35, "B": 0.4 * 1e6**0.4, "alpha": 0.35, "beta": 0.4}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The page's examples as modules in the folder that a user stands in, and as text by name."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    code = dict(zip(NAMES, blocks, strict=True))
    for name, text in code.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    allow(*NAMES)
    yield code
    for name in NAMES:
        sys.modules.pop(name, None)


def own(code):
    """The law that `code` defines, in a module of the folder that a user stands in."""
    Path("notebook.py").write_text(code, encoding="utf-8")
    spec = spec_from_file_location("notebook", "notebook.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    (law,) = (
        found for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, il.Law) and found is not il.Law
    )  # fmt: skip
    return law


@pytest.mark.parametrize("name", ["page_law:Power", "page_kernel:FastPower"])
def test_a_law_of_a_formula_is_recovered_and_has_chinchillas_frontier(page, name):
    runs = simulated(law=TRUTH, point_sd=0.0)
    law = il.fit(runs, law=name, bootstrap=5)
    assert law.convergence.converged
    for parameter, value in TRUTH.items():
        if parameter != "E":
            assert law.params[parameter].value == pytest.approx(value, rel=1e-5)  # rounding times the condition number
    assert il.fit(runs, law=name, fixed={"alpha": 0.3}).params["alpha"].value == 0.3
    (point,) = law.frontier(flops=[1e12])
    (same,) = il.fit(runs, fixed={"E": 0.0}).frontier(flops=[1e12])
    assert point.params.value == pytest.approx(same.params.value, rel=1e-4)
    law.save("law.json")
    assert il.FittedLaw.load("law.json").predict(params=1e6, tokens=1e8) == law.predict(params=1e6, tokens=1e8)


def test_a_formula_gives_what_the_bundled_law_gives_on_noisy_runs():
    class SameFormula(il.Law):
        name = "same_formula"
        formula = "L = E + A/N^α + B/D^β"
        limits = {"E": (0, 10), "A": (1e-3, 1e9), "B": (1e-3, 1e9), "alpha": (0, 5), "beta": (0, 5)}  # noqa: RUF012

        @staticmethod
        def loss_of_run(E, A, B, alpha, beta, params, tokens):
            return E + A / params**alpha + B / tokens**beta

    runs = simulated()
    found, bundled = SameFormula().fit(runs), il.Chinchilla().fit(runs)
    assert found.objective_value == pytest.approx(bundled.objective_value, rel=1e-6)
    for name, estimate in bundled.params.items():
        assert found.params[name].value == pytest.approx(estimate.value, rel=1e-3)  # the valley is flat


KERNEL = "    kernel = _kernel\n"


@pytest.mark.parametrize(
    ("without", "was", "becomes", "names"),
    [
        ("", "-size / loss * np.log(params)", "size / loss * np.log(params)", "alpha"),
        ("", "jacobian[1, i] = data / loss", "jacobian[1, i] = data", "B"),
        ("", "log_loss[i] = np.log(loss)", "log_loss[i] = loss", "the formula"),
        ("", "@compiled\n", "", "compiled"),
        (
            "",
            "    @staticmethod\n",
            "    def origin(features):\n        return 0\n\n    @staticmethod\n",
            "@staticmethod",
        ),
        (KERNEL, "loss_of_run(A, B, alpha, beta,", "loss_of_run(A, B, beta, alpha,", "alpha"),
        (KERNEL, "    limits =", "    bounds =", "limits"),
        (KERNEL, '"alpha": (0, 3)', '"alpha": (3, 0)', "alpha"),
        (KERNEL, "return A /", "return A.mean() /", "loss_of_run"),
        (KERNEL, '    name = "fast_power"\n', "", "name"),
        (KERNEL, '"alpha": (0, 3)', '"alpha": 3', "alpha"),
        (KERNEL, '"alpha": (0, 3)', '"alpha": (0, 1, 2)', "alpha"),
        (KERNEL, ', "beta": (0, 3)}', ', "beta": (0, 3)}.keys()', "limits"),
        (
            KERNEL,
            "        return A /",
            "        if params > 1e9:\n            return 2.0\n        return A /",
            "np.where",
        ),
        (KERNEL, "        return A /", "        if alpha > 1:\n            return 2.0\n        return A /", "np.where"),
        (KERNEL, "        return A /", "        import math\n        return A /", "import"),
        (KERNEL, "        return A /", "        A /", "return"),
    ],
)
def test_a_fault_in_a_law_is_named(page, without, was, becomes, names):
    code = page["page_kernel"]
    assert was in code
    with pytest.raises(InputError) as refused:
        il.fit(simulated(law=TRUTH), law=own(code.replace(without, "").replace(was, becomes)))
    assert names in f"{refused.value.message} {refused.value.fix}"
    assert "notebook:FastPower" in str(refused.value.place)


def test_a_law_that_reads_no_column_of_a_run_is_named(page):
    class Constant(il.Law):
        name = "constant"
        formula = "L = E"
        limits = {"E": (0, 10)}  # noqa: RUF012

        @staticmethod
        def loss_of_run(E):
            return E

    with pytest.raises(InputError, match="column"):
        il.fit(simulated(law=TRUTH), law=Constant)


NO_STUDY = {
    "wrong_kernel": ("page_kernel", "-size / loss * np.log(params)", "size / loss * np.log(params)"),
    "no_limits": ("page_law", "    limits =", "    bounds ="),
    "of_hours": ("page_law", "tokens):\n        return", "hours):\n        tokens = hours\n        return"),
    "branching": ("page_law", "        return", "        if params > 1e9:\n            return 2.0\n        return"),
    "importing": ("page_law", "        return", "        import math\n        return"),
}


def study_of(text):
    study = Path(__file__).parents[1] / "helpers" / "earlier_demo.toml"
    found = Study.parse(study.read_text(encoding="utf-8"), place="mine.toml")
    return found.model_copy(update={"fit": Fit.model_validate(tomllib.loads(text))})


@pytest.mark.parametrize("name", NO_STUDY)
def test_a_law_of_ones_own_that_cannot_be_fitted_stops_a_study_before_it_trains(page, name):
    source, was, becomes = NO_STUDY[name]
    assert was in page[source]
    Path(f"{name}.py").write_text(page[source].replace(was, becomes), encoding="utf-8")
    allow(name)
    own_name = f"{name}:{'FastPower' if source == 'page_kernel' else 'Power'}"
    with pytest.raises(InputError) as refused:
        require_runnable(study_of(f'laws = ["{own_name}"]'))
    assert name in str(refused.value)
    assert refused.value.fix


@pytest.mark.parametrize(
    ("fit", "named"),
    [
        ("fixed = { Q = 1.8 }", "'Q'"), ("fixed = { A = 400 }", "alpha"), ("fixed = { A = -1, alpha = 0.3 }", "A"),
        ('laws = ["repeated"]', "unique_tokens"), ('laws = ["loss_to_loss"]', "other_loss"),
        ('laws = ["chinchilla", "kaplan"]\nfixed = { E = 1.8 }', "kaplan"),
        ('laws = ["offset_flops"]\nstarts = "hoffmann"', "offset_flops"),
        ('fixed = { E = 1.8 }\nfloor = "hold"', "floor"),
    ],
)  # fmt: skip
def test_a_study_whose_laws_cannot_be_fitted_is_refused_before_it_trains(fit, named):
    with pytest.raises(InputError) as refused:
        require_runnable(study_of(fit))
    assert named in refused.value.message
    assert refused.value.fix


@pytest.mark.parametrize(
    "fit",
    [
        "fixed = { E = 1.8 }", "fixed = { A = 400, alpha = 0.3 }", 'laws = ["auto"]\nfixed = { E = 1.8 }',
        'laws = ["kaplan_flops", "farseer", "offset_tokens"]',
        'laws = ["page_law:Power", "page_kernel:FastPower"]\nfixed = { alpha = 0.3 }',
    ],
)  # fmt: skip
def test_a_study_whose_laws_can_be_fitted_is_not_refused(page, fit):
    assert require_runnable(study_of(fit)) is None


def test_a_measure_of_ones_own_measures(page):
    rows = np.array([[0, 1, 2, 3], [5, 5, 5, 5]])
    found = measure_tokens(rows, "page_measure:Repeats", vocab_size=6)
    assert found.value.value == pytest.approx((0 + 0.75) / 2)
    assert found.settings["unit"] == "other"
    relabelled = measure_tokens(rows, "page_measure:Repeats-placebo", vocab_size=6)
    assert relabelled.value.value == found.value.value


def test_an_executor_of_ones_own_trains_what_the_archive_lacks(page, tmp_path):
    archive = Archive(tmp_path / "archive")
    write_corpus(archive)
    jobs = trunk_jobs([tiny_spec(steps, seed=seed) for seed in (0, 1) for steps in (4, 8)])
    wanted = sorted(spec.fingerprint for job in jobs for spec in job.specs)
    events = []
    for _ in range(2):
        records = list(executor("page_executor:Here").run(jobs, archive, on_event=events.append))
        assert sorted(record.fingerprint for record in records) == wanted
        assert {record.status for record in records} == {"finished"}
    assert sorted(event.run for event in events if event.kind == "run_ended") == wanted, "nothing is trained twice"


def test_an_executor_that_starts_processes_trains_and_writes_down_what_died(page, tmp_path, monkeypatch):
    archive = Archive(tmp_path / "archive")
    write_corpus(archive)
    sound, doomed = (trunk_jobs([tiny_spec(4, seed=seed)]) for seed in (0, 1))
    (record,) = executor("page_processes:Processes").run(sound, archive)
    assert record.status == "finished"
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (record,) = executor("page_processes:Processes").run(doomed, archive)
    assert record.status == "failed"


def test_every_registered_law_is_exported():
    for name in laws:
        assert getattr(il, laws[name].__name__) is laws[name]
        assert laws[name].__name__ in dir(il)
