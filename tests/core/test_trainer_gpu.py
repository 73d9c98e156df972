"""The trainer on a GPU does what it does on the CPU."""

import numpy as np
import pytest
import torch

from tests.core.test_trainer import make_network, make_trainer
from tests.rl.sampled import make_batch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


def train(device, *, compile=False, double=False, updates=20):  # noqa: A002
    trainer = make_trainer(device=device, compile=compile, double=double)
    batch = make_batch(32 * updates)
    weights = np.linspace(0.1, 1, 32 * updates, dtype=np.float32)
    for prepared in trainer.prepare(batch, 32, weights):
        assert np.isfinite(float(trainer.update(prepared).loss))
    return trainer


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("compile", [False, True])
def test_cuda_and_cpu_agree(compile, double):  # noqa: A002
    cpu, cuda = train("cpu", double=double), train("cuda", compile=compile, double=double)
    assert cuda.device.type == "cuda"
    for name, array in cpu.weights().items():
        np.testing.assert_allclose(cuda.weights()[name], array, rtol=2e-3, atol=2e-4)


def test_auto_takes_the_gpu():
    assert train("auto", updates=1).device.type == "cuda"


def test_a_checkpoint_of_the_gpu_goes_on_on_the_cpu():
    state = train("cuda").state_dict()
    other = make_trainer(make_network(seed=1), device="cpu")
    other.load_state_dict(state)
    for name, array in train("cuda").weights().items():
        np.testing.assert_array_equal(other.weights()[name], array)
