"""What follows from a study's file: which runs, with which configurations, and what is refused."""

import pytest

from zdqn.config import load_config
from zdqn.config.study_sections import Study
from zdqn.errors import ConfigError, FileError
from zdqn.experiments.studies.study_plan import (
    Variant,
    checked_plan,
    default_jobs,
    describe_change,
    load_study,
    plan_study,
    processes_of,
)

BASE = "[stop]\nenvironment_steps = 500\nevaluation_return = 9.0\n"
STUDY = """
config = "base.toml"
seeds = [3, 1]
set = { algorithm.batch_size = 16 }

[[variants]]
name = "plain"

[[variants]]
name = "double"
set = { algorithm.double = true, algorithm.batch_size = 8 }
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "other.toml").write_text(BASE + "[replay]\ncapacity = 7777\n")

    def put(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return put


@pytest.fixture
def plan(write):
    def make(text=STUDY, overrides=()):
        path = write(text)
        return plan_study(load_study(path), path, overrides)

    return make


def test_every_variant_has_every_seed_the_first_seed_first(plan):
    runs = plan().runs()
    names = ["plain/seed-3", "double/seed-3", "plain/seed-1", "double/seed-1"]
    assert [run.name for run in runs] == names
    assert [run.config.run.seed for run in runs] == [3, 3, 1, 1]


def test_the_variant_wins_over_the_study_and_that_over_the_configuration(plan):
    plain, double = (variant.config for variant in plan().variants)
    assert (plain.algorithm.batch_size, plain.algorithm.double) == (16, False)
    assert (double.algorithm.batch_size, double.algorithm.double) == (8, True)
    assert plain.stop.environment_steps == 500


def test_what_the_command_line_sets_wins_over_all(plan):
    made = plan(overrides=["algorithm.batch_size=4", "stop.environment_steps=50"])
    assert [v.config.algorithm.batch_size for v in made.variants] == [4, 4]
    assert [v.config.stop.environment_steps for v in made.variants] == [50, 50]


def test_a_variant_may_have_a_configuration_of_its_own(plan):
    made = plan(STUDY.replace('name = "double"', 'name = "double"\nconfig = "other.toml"'))
    assert [v.config.replay.capacity for v in made.variants] == [100_000, 7777]


def test_none_makes_a_value_absent(plan):
    made = plan(
        STUDY.replace("batch_size = 16", 'batch_size = 16, stop.evaluation_return = "none"')
    )
    assert [v.config.stop.evaluation_return for v in made.variants] == [None, None]


def test_defaults(plan):
    made = plan()
    assert (made.title, made.command, made.baseline) == ("study", "train", "plain")
    assert (made.threshold, made.final_evaluations, made.unfinished) == (9.0, 1, "restart")
    assert len(Study().seeds) == 5


def test_what_is_said_is_taken(plan):
    top = 'title = "Two"\ncommand = "run"\nbaseline = "double"\nthreshold = 0.0\n' \
          'final_evaluations = 3\nunfinished = "resume"\n'  # fmt: skip
    made = plan(top + STUDY)
    assert (made.title, made.command, made.baseline) == ("Two", "run", "double")
    assert (made.threshold, made.final_evaluations, made.unfinished) == (0.0, 3, "resume")


def test_variants_with_different_goals_have_no_threshold(plan):
    made = plan(STUDY.replace("double = true,", "double = true, stop.evaluation_return = 5.0,"))
    assert made.threshold is None


def test_runs_of_several_processes_take_free_ports(plan):
    assert plan().variants[0].config.memory.bind.endswith(":5556")
    config = plan('command = "run"\n' + STUDY).variants[0].config
    assert config.memory.bind == config.learner.bind == "tcp://127.0.0.1:0"


# --- what is refused ----------------------------------------------------------------------------

REFUSED = {
    "variants is empty": ("", "variants is empty"),
    "unknown key": ('colour = "red"\n' + STUDY, 'there is no key "colour"'),
    "unknown value": ('command = "launch"\n' + STUDY, "command is 'launch'"),
    "negative seed": (STUDY.replace("[3, 1]", "[3, -1]"), "seeds"),
    "no seed": (STUDY.replace("[3, 1]", "[]"), "seeds is empty"),
    "seed twice": (STUDY.replace("[3, 1]", "[3, 3]"), "one stands twice"),
    "name twice": (STUDY.replace('"double"', '"PLAIN"'), "two variants are called"),
    "name is a path": (STUDY.replace('"double"', '"../double"'), "name is '../double'"),
    "nothing changes": (
        STUDY.replace("set = { algorithm.double = true, algorithm.batch_size = 8 }", ""),
        "plain and double have the same configuration",
    ),
    "no configuration": (STUDY.replace('config = "base.toml"', ""), "has no configuration"),
    "unknown baseline": ('baseline = "doubel"\n' + STUDY, 'Did you mean "double"?'),
    "unknown key of a variant": (
        STUDY.replace("algorithm.double", "algorithm.doubel"),
        'variant \'double\': section "algorithm" has no key "doubel"',
    ),
    "wrong value of a variant": (
        STUDY.replace("algorithm.double = true", 'algorithm.double = "yes"'),
        "variant 'double': algorithm.double is 'yes'",
    ),
    "no section": (STUDY.replace("algorithm.batch_size = 16", "batch_size = 16"), "set"),
    "another environment": (
        STUDY.replace("algorithm.double = true", 'environment.id = "Acrobot-v1"'),
        "environment.id is 'CartPole-v1' in variant plain and 'Acrobot-v1' in variant double",
    ),
    "no end": (
        STUDY.replace("algorithm.double = true", "stop.environment_steps = 0"),
        "variant double has no end that is sure to come",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words(plan, name):
    text, words = REFUSED[name]
    with pytest.raises(ConfigError, match=r"study\.toml") as caught:
        plan(text)
    assert words in str(caught.value)


def test_a_configuration_that_is_not_there_is_named(plan):
    with pytest.raises(FileError, match=r"nowhere\.toml"):
        plan(STUDY.replace("base.toml", "nowhere.toml"))


# --- how many at once ---------------------------------------------------------------------------


@pytest.mark.parametrize(("cores", "jobs"), [(1, 1), (2, 2), (3, 3), (64, 4)])
def test_each_training_takes_a_core_and_there_are_no_more_jobs_than_runs(plan, cores, jobs):
    assert default_jobs(plan(), cores) == jobs


def test_a_run_takes_a_core_for_each_of_its_processes(plan):
    text = 'command = "run"\n' + STUDY.replace(
        "double = true", "double = true, launch.collectors = 5, launch.evaluators = 0"
    )
    made = plan(text)
    assert processes_of(made) == 7
    assert [default_jobs(made, cores) for cores in (2, 7, 14, 100)] == [1, 1, 2, 4]


# --- what may not change in a folder ------------------------------------------------------------


def test_what_is_trained_is_told_apart_from_what_is_looked_at(plan):
    before = plan().trained()
    looked_at = 'title = "x"\nbaseline = "double"\nthreshold = 3.0\nfinal_evaluations = 2\n'
    assert plan(looked_at + STUDY).trained() == before
    changed = {
        "command was 'train' and is 'run'": 'command = "run"\n' + STUDY,
        "plain: algorithm.batch_size was 16 and is 32": STUDY.replace("= 16", "= 32"),
    }
    for words, text in changed.items():
        assert words in describe_change(before, plan(text).trained()), words
    without = {key: value for key, value in before.items() if key != "double: algorithm.double"}
    assert describe_change(before, without) == ["double: algorithm.double was True and is absent"]
    assert describe_change(without, before) == ["double: algorithm.double was absent and is True"]


def test_other_seeds_and_other_variants_change_no_run_that_is_there(plan):
    before = plan().trained()
    for text in (STUDY.replace("[3, 1]", "[3, 2]"), STUDY.replace('"double"', '"other"')):
        assert describe_change(before, plan(text).trained()) == []


def test_a_seed_of_the_configuration_is_no_change(plan, tmp_path):
    before = plan().trained()
    (tmp_path / "seeded.toml").write_text(BASE + "[run]\nseed = 77\n")
    assert plan(STUDY.replace("base.toml", "seeded.toml")).trained() == before


def test_a_plan_can_be_made_without_a_file():
    config = load_config(None, ["stop.updates=5"])
    made = checked_plan(
        [Variant("only", config)], source="a.toml", title="One", command="train", seeds=[0]
    )
    assert [run.name for run in made.runs()] == ["only/seed-0"]
