"""Studies that tests need: plans, and folders of runs that nobody has trained."""

from tests.experiments.made_runs import make_run
from zdqn.config import load_config
from zdqn.experiments.studies.study_folder import StudyFiles, check_record
from zdqn.experiments.studies.study_plan import Variant, checked_plan


def make_plan(names=("a", "b"), seeds=(0, 1), *, command="train", overrides=(), **looked_at):
    """Give a plan of small trainings, whose variants differ in their learning rate."""
    small = (
        "stop.environment_steps=600", "replay.min_size=32", "replay.capacity=500",
        "replay.samples_per_insert=2", "network.hidden=[8]", "evaluator.episodes=2",
        "evaluator.environments=2", "evaluator.period_environment_steps=200",
        "environment.max_episode_steps=20", "learner.device=cpu",
    )  # fmt: skip
    config = load_config(None, [*small, *overrides])
    variants = [
        Variant(name, config.replace("algorithm.learning_rate", 1e-3 * (number + 1)))
        for number, name in enumerate(names)
    ]
    return checked_plan(
        variants, source="a test", title="A study", command=command, seeds=seeds, **looked_at
    )


def make_study(folder, returns, **given):
    """Write a study whose runs are over.

    Args:
        folder: of the study.
        returns: name of a variant to the evaluations of each of its runs; None for a run that is
            not finished.
        given: of `make_plan`.

    Returns:
        Its plan and its files.
    """
    count = max(map(len, returns.values()))
    plan = make_plan(tuple(returns), tuple(range(count)), **given)
    files = StudyFiles(folder)
    folder.mkdir(parents=True, exist_ok=True)
    check_record(files, plan)
    for run in plan.runs():
        its = returns[run.variant][run.seed]
        if its is not None:
            make_run(files.run_directory(run), its, config=run.config)
    return plan, files
