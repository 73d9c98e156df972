"""Stable-Baselines3's DQN, or that of SBX, its port to JAX, timed.

A script of its own, since they may live in another environment: ``python sb3_script.py TASK NUMBER
[sbx]`` prints one line of JSON. It needs nothing of zdqn.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

_WARM_UP_STEPS = 500
_TUNED_STEPS = 200_000
_PARITY_FROM_STEPS, _PARITY_STEPS = 5_000, 25_000


def seed_model(train_freq: int, batch_size: int = 32, *, sbx: bool = False) -> Any:
    """Make a DQN with the settings of zdqn's seed."""
    gymnasium, torch = map(importlib.import_module, ("gymnasium", "torch"))
    torch.set_num_threads(1)
    library, tanh = _load_sbx() if sbx else _load_sb3()
    return library.DQN(
        "MlpPolicy",
        gymnasium.make("CartPole-v1", max_episode_steps=200),
        learning_rate=3e-4,
        buffer_size=2000,
        learning_starts=32,
        batch_size=batch_size,
        train_freq=train_freq,
        gradient_steps=1,
        target_update_interval=2000,
        exploration_fraction=1.0,
        exploration_final_eps=0.1,
        policy_kwargs={"net_arch": [256, 64], "activation_fn": tanh},
        device="cpu",
        seed=0,
    )


def _load_sb3() -> tuple[Any, Any]:
    """Give the library, and how it calls tanh."""
    sb3, torch = map(importlib.import_module, ("stable_baselines3", "torch"))
    return sb3, torch.nn.Tanh


def _load_sbx() -> tuple[Any, Any]:
    """Give the library, on one thread and with the seed's network, and how it calls tanh."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    names = ("sbx", "sbx.dqn.policies", "flax.linen")
    modules: list[Any] = [importlib.import_module(name) for name in names]
    sbx, policies, linen = modules

    class QNetwork(linen.Module):  # type: ignore[name-defined, misc]
        """SBX's own has two hidden layers of one size."""

        n_actions: int
        n_units: int
        activation_fn: Any

        @linen.compact  # type: ignore[untyped-decorator]
        def __call__(self, observations: Any) -> Any:
            values = policies.Flatten()(observations)
            for units in (256, 64):
                values = self.activation_fn(linen.Dense(units)(values))
            return linen.Dense(self.n_actions)(values)

    policies.QNetwork = QNetwork
    return sbx, linen.tanh


def learn(model: Any, environment_steps: int) -> dict[str, float]:
    """Time training after a warm-up."""
    model.learn(_WARM_UP_STEPS)
    updates = model._n_updates
    started_s = time.perf_counter()
    model.learn(environment_steps)
    elapsed_s = time.perf_counter() - started_s
    return {
        "environment_steps_per_s": environment_steps / elapsed_s,
        "updates_per_s": (model._n_updates - updates) / elapsed_s,
    }


def update_only(batch_size: int, *, sbx: bool = False) -> dict[str, float]:
    """Time `train` alone: its sampling and its updates, and no environment."""
    model = seed_model(4, batch_size, sbx=sbx)
    model.learn(2000)
    updates = 2000 if sbx else 1000
    # SBX compiles its loop for a number of updates.
    model.train(gradient_steps=updates if sbx else 100, batch_size=batch_size)
    started_s = time.perf_counter()
    model.train(gradient_steps=updates, batch_size=batch_size)
    return {"updates_per_s": updates / (time.perf_counter() - started_s)}


def solve(seed: int) -> dict[str, float]:
    """Train with the settings that RL Zoo tuned for CartPole-v1, until an evaluation is 475."""
    sb3, gymnasium, torch, callbacks, monitor = map(
        importlib.import_module,
        (
            "stable_baselines3",
            "gymnasium",
            "torch",
            "stable_baselines3.common.callbacks",
            "stable_baselines3.common.monitor",
        ),
    )
    torch.set_num_threads(1)
    callback = callbacks.EvalCallback(
        monitor.Monitor(gymnasium.make("CartPole-v1")),
        eval_freq=1024,
        n_eval_episodes=20,
        callback_on_new_best=callbacks.StopTrainingOnRewardThreshold(475, verbose=0),
        verbose=0,
    )
    model = sb3.DQN(
        "MlpPolicy",
        "CartPole-v1",
        learning_rate=2.3e-3,
        buffer_size=100_000,
        learning_starts=1000,
        batch_size=64,
        train_freq=256,
        gradient_steps=128,
        target_update_interval=10,
        exploration_fraction=0.16 * 50_000 / _TUNED_STEPS,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
        device="cpu",
        seed=seed,
    )
    model.learn(_TUNED_STEPS, callback=callback)
    return {
        "environment_steps": model.num_timesteps,
        "best_evaluation_return": float(callback.best_mean_reward),
    }


def parity(seed: int) -> dict[str, float]:
    """Train with the settings of ``zdqn bench parity``; gives the mean of what evaluations gave."""
    sb3, gymnasium, torch, callbacks, evaluation = map(
        importlib.import_module,
        (
            "stable_baselines3",
            "gymnasium",
            "torch",
            "stable_baselines3.common.callbacks",
            "stable_baselines3.common.evaluation",
        ),
    )
    torch.set_num_threads(1)
    environment = gymnasium.make("CartPole-v1")
    environment.reset(seed=seed)
    returns = []

    class Evaluate(callbacks.BaseCallback):  # type: ignore[name-defined, misc]
        def _on_step(self) -> bool:
            if self.num_timesteps % 1_000 == 0 and self.num_timesteps >= _PARITY_FROM_STEPS:
                mean, _ = evaluation.evaluate_policy(self.model, environment, 20, warn=False)
                returns.append(float(mean))
            return True

    model = sb3.DQN(
        "MlpPolicy",
        "CartPole-v1",
        learning_rate=1e-3,
        buffer_size=50_000,
        learning_starts=1_000,
        batch_size=64,
        train_freq=4,
        gradient_steps=1,
        target_update_interval=200,
        n_steps=3,
        max_grad_norm=1e9,
        exploration_fraction=5_000 / _PARITY_STEPS,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [128, 128]},
        device="cpu",
        seed=seed,
    )
    model.learn(_PARITY_STEPS, callback=Evaluate())
    return {"mean_return": sum(returns) / len(returns)}


def main() -> None:
    """Do the task that the command line names."""
    task, number, sbx = sys.argv[1], int(sys.argv[2]), "sbx" in sys.argv[3:]
    if task == "seed":
        result = learn(seed_model(10, sbx=sbx), number)
    elif task == "every-step":
        result = learn(seed_model(1), number)
    elif task == "update-only":
        result = update_only(number, sbx=sbx)
    elif task == "parity":
        result = parity(number)
    else:
        result = solve(number)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
