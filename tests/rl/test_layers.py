"""Input stages and the dueling head, against loops over their definitions."""

import numpy as np
import pytest
import torch

from zdqn.data import EnvironmentSpec
from zdqn.rl.layers import DuelingHead, ImageInput, VectorInput


def numbers(shape: tuple[int, ...], dtype: str = "float32") -> torch.Tensor:
    values = np.random.default_rng(0).integers(0, 256, shape)
    return torch.from_numpy(values.astype(dtype))


# --- the head -------------------------------------------------------------------------------------


def test_advantages_are_taken_from_their_mean_and_the_state_value_is_added() -> None:
    head = DuelingHead(2, 3)
    with torch.no_grad():
        head.value.weight.copy_(torch.tensor([[1.0, 10.0]]))
        head.value.bias.fill_(100)
        head.advantage.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        head.advantage.bias.copy_(torch.tensor([0.0, 3.0, 0.0]))
    with torch.inference_mode():
        values = head(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))
    # V = 121, A = (1, 5, 3) with the mean 3; V = 100, A = (0, 3, 0) with the mean 1
    assert values.tolist() == [[119, 123, 121], [99, 102, 99]]


def test_the_mean_of_the_values_is_the_state_value() -> None:
    head, features = DuelingHead(5, 4), torch.randn(6, 5, generator=torch.manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(head(features).mean(1), head.value(features)[:, 0])


# --- vectors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4,), (2, 3), (3, 2, 2)])
def test_vectors_are_flattened_and_not_scaled(shape: tuple[int, ...], dtype: str) -> None:
    observations = numbers((3, *shape), dtype)
    given = VectorInput()(observations)
    assert given.dtype == torch.float32
    assert given.tolist() == [np.ravel(row).tolist() for row in observations.double().numpy()]


# --- images ---------------------------------------------------------------------------------------


def channels_first(spec: EnvironmentSpec) -> bool:
    shape = spec.observation_shape
    return len(shape) == 3 and shape[0] < shape[1] and shape[0] < shape[2]


@pytest.mark.parametrize(
    ("shape", "stack", "wanted"),
    [
        ((6, 7), 1, (1, 6, 7)),
        ((6, 7), 4, (4, 6, 7)),
        ((6, 7, 3), 1, (3, 6, 7)),
        ((5, 6, 2), 3, (6, 5, 6)),
        ((2, 5, 6), 3, (6, 5, 6)),
        ((3, 6, 7), 1, (3, 6, 7)),
        ((5, 5, 16), 2, (32, 5, 5)),
        ((5, 5, 5), 1, (5, 5, 5)),  # either way; taken for the last
        ((4, 6, 4), 1, (4, 4, 6)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_stacked_frames_become_channels_frame_by_frame(
    shape: tuple[int, ...], stack: int, wanted: tuple[int, ...], dtype: str
) -> None:
    spec = EnvironmentSpec(shape, dtype, 2, frame_stack=stack)
    stage, observations = ImageInput(spec), numbers((3, *spec.stacked_shape), dtype)
    images = stage(observations)
    assert stage.shape == wanted
    assert images.dtype == torch.float32
    frames = observations.numpy().reshape(3, stack, *shape)
    expected = np.empty((3, *wanted), np.float32)
    channels = wanted[0] // stack
    for frame in range(stack):
        for channel in range(channels):
            part = frames[:, frame]
            if len(shape) == 3:
                part = part[:, channel] if channels_first(spec) else part[..., channel]
            expected[:, frame * channels + channel] = part
    if dtype == "uint8":
        expected /= 255
    np.testing.assert_allclose(images.numpy(), expected, rtol=1e-6)


def test_bytes_become_numbers_from_0_to_1_and_others_stay_as_they_are() -> None:
    for dtype, largest in (("uint8", 1.0), ("int32", 255.0), ("float64", 255.0)):
        stage = ImageInput(EnvironmentSpec((3, 3), dtype, 2))
        images = stage(torch.full((1, 3, 3), 255).to(getattr(torch, dtype)))
        assert images.dtype == torch.float32
        assert images.unique().tolist() == [largest]


def test_a_pixels_channels_lie_side_by_side() -> None:
    images = ImageInput(EnvironmentSpec((6, 7, 3), "uint8", 2))(numbers((2, 6, 7, 3), "uint8"))
    assert images.is_contiguous(memory_format=torch.channels_last)
