"""A search for hyperparameters with Optuna (https://optuna.org), each trial a training of zdqn.

A trial that does worse than most did at the same point ends early. Needs the extra `studies`::

    pip install ".[studies]"
    python docs/examples/optuna_sweep.py                 # 20 trials, several minutes
    python docs/examples/optuna_sweep.py 4 2000          # 4 trials of 2,000 environment steps

Trials are kept in sweep/trials.db, so that the same command goes on with the search, and several at
once share it; the runs themselves are in sweep/0, sweep/1, ...
"""

import argparse
from pathlib import Path

import optuna

import zdqn

FOLDER = Path("sweep")
CONFIG = zdqn.Config(
    environment=zdqn.EnvironmentSection(id="CartPole-v1"),
    replay=zdqn.ReplaySection(capacity=50_000, min_size=500, samples_per_insert=16.0),
    collector=zdqn.CollectorSection(environments=8, vectorization="native"),
    evaluator=zdqn.EvaluatorSection(period_environment_steps=1_000, episodes=10, environments=10),
    learner=zdqn.LearnerSection(device="cpu"),
)


def propose(trial, most_steps):
    """Any key of the configuration can be searched: its name is the parameter's."""
    return CONFIG.replace(
        {
            "algorithm.learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
            "algorithm.n_step": trial.suggest_int("n_step", 1, 5),
            "algorithm.target_update_period_updates": trial.suggest_int(
                "target_update_period_updates", 10, 1_000, log=True
            ),
            "network.hidden": [trial.suggest_int("width", 32, 256, log=True)] * 2,
            "run.seed": trial.number,
            "stop.environment_steps": most_steps,
        }
    )


def objective(trial, most_steps):
    def judge(evaluation):
        """Called with each evaluation; what returns False ends the training, and well."""
        trial.report(evaluation.scores.mean, evaluation.snapshot.number)
        return not trial.should_prune()

    result = zdqn.train(
        propose(trial, most_steps),
        sinks=[zdqn.Callbacks(on_evaluation=judge)],
        run_directory=FOLDER / str(trial.number),
        progress=False,
    )
    if result.stop_reason == "sink":
        raise optuna.TrialPruned
    return result.best_rescored_return  # of fresh episodes: the best of many is so by luck too


def main(trials, most_steps):
    FOLDER.mkdir(exist_ok=True)
    study = optuna.create_study(
        study_name="cartpole",
        direction="maximize",
        storage=f"sqlite:///{FOLDER}/trials.db",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=3),
    )
    study.optimize(
        lambda trial: objective(trial, most_steps),
        n_trials=trials,
        catch=zdqn.RoleFailedError,  # a loss that is no number ends its trial, not the search
    )
    for trial in study.trials:
        print(f"{trial.number:3} {trial.state.name:8} {trial.value or 0:6.1f} {trial.params}")
    print(f"best: {study.best_trial.number}, in {FOLDER / str(study.best_trial.number)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Search hyperparameters of DQN on CartPole.")
    parser.add_argument("trials", type=int, nargs="?", default=20)
    parser.add_argument("most_steps", type=int, nargs="?", default=20_000, help="of each trial")
    given = parser.parse_args()
    main(given.trials, given.most_steps)
