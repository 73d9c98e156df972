"""Evaluates networks by their descriptions, with the formulae of docs/protocol.md."""

import math

import numpy as np

ACTIVATIONS = {
    "": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "tanh": math.tanh,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
}


def evaluate(layers, arrays, observation, spec):
    """Give the action values of one observation, as a list.

    Args:
        layers: what has the attributes of a `LayerDescription`.
        arrays: name to tensor.
        observation: of the stacked shape.
        spec: of the environment.
    """
    x = observation
    for layer in layers:
        x = OPERATIONS[layer.op](x, layer, arrays, spec)
        x = np.vectorize(ACTIVATIONS[layer.activation], otypes=[float])(x)
    return x.tolist()


def flatten(x, _layer, _arrays, _spec):
    return x.reshape(-1).astype(float)


def image(x, layer, _arrays, spec):
    frames = x.reshape(spec.frame_stack, *spec.observation_shape).astype(float) * layer.scale
    planes = []
    for frame in frames:  # the oldest first
        if frame.ndim == 2:
            planes.append(frame)
        elif layer.channels_last:
            planes += [frame[:, :, channel] for channel in range(frame.shape[2])]
        else:
            planes += list(frame)
    return np.array(planes)


def convolution(x, layer, arrays, _spec):
    weight, bias = arrays[f"{layer.name}.weight"], arrays[f"{layer.name}.bias"]
    _, _, height, width = weight.shape
    rows = range(0, x.shape[1] - height + 1, layer.stride)
    columns = range(0, x.shape[2] - width + 1, layer.stride)
    return np.array(
        [
            [
                [bias[f] + (kernel * x[:, i : i + height, j : j + width]).sum() for j in columns]
                for i in rows
            ]
            for f, kernel in enumerate(weight)
        ]
    )


def linear(x, layer, arrays, _spec):
    return arrays[f"{layer.name}.weight"] @ x + arrays[f"{layer.name}.bias"]


def dueling(x, layer, arrays, spec):
    value = arrays[f"{layer.name}.value.weight"] @ x + arrays[f"{layer.name}.value.bias"]
    advantage = (
        arrays[f"{layer.name}.advantage.weight"] @ x + arrays[f"{layer.name}.advantage.bias"]
    )
    advantage = advantage.reshape(spec.num_actions, len(value))
    return (value + advantage - advantage.mean(0)).reshape(-1)


def categorical(x, layer, _arrays, spec):
    values = []
    for logits in x.reshape(spec.num_actions, layer.numbers):
        weights = [math.exp(logit - max(logits)) for logit in logits]
        step = (layer.v_max - layer.v_min) / (layer.numbers - 1)
        atoms = [layer.v_min + step * i for i in range(layer.numbers)]
        values.append(sum(w * z for w, z in zip(weights, atoms, strict=True)) / sum(weights))
    return np.array(values)


def quantiles(x, layer, _arrays, spec):
    return np.array([row.sum() / layer.numbers for row in x.reshape(spec.num_actions, -1)])


OPERATIONS = {
    "flatten": flatten,
    "image": image,
    "convolution": convolution,
    "linear": linear,
    "noisy_linear": linear,
    "dueling": dueling,
    "noisy_dueling": dueling,
    "categorical": categorical,
    "quantiles": quantiles,
}
