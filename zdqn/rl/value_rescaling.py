"""Value rescaling: large returns are learned on a scale on which they are small."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from zdqn.rl.option_checks import check_range


@dataclass(frozen=True)
class ValueRescaling:
    """The function h that values are learned through, and its inverse.

    ::

        h(x)    = sign(x) (sqrt(|x| + 1) - 1) + epsilon x
        h^-1(x) = sign(x) (((sqrt(1 + 4 epsilon (|x| + 1 + epsilon)) - 1) / (2 epsilon))^2 - 1)

    A network's values are `h(Q)`, and targets are `h(r + discount h^-1(Q_target))`. As h grows with
    its argument, the best action is the same either way.

    Args:
        epsilon: how much of a straight line is added, > 0: h then has an inverse that does not grow
            without bound where values are large.

    Raises:
        ConfigError: if it is not above 0.

    Reference:
        Pohlen et al. 2018, arXiv:1805.11593, proposition A.2.
    """

    epsilon: float

    def __post_init__(self) -> None:
        check_range("epsilon", self.epsilon, self.epsilon > 0, "above 0")

    def __call__(self, values: Tensor) -> Tensor:
        """Give h of returns, of any shape."""
        return values.sign() * ((values.abs() + 1).sqrt() - 1) + self.epsilon * values

    def inverse(self, values: Tensor) -> Tensor:
        """Give the returns whose h these are, of any shape.

        The formula of the paper with its numerator made rational: as it stands there, a small
        epsilon would divide the difference of two numbers that are equal in float32.
        """
        size = values.abs()
        root = (1 + 4 * self.epsilon * (size + 1 + self.epsilon)).sqrt()
        stretched = 2 * (size + 1 + self.epsilon) / (root + 1)
        return values.sign() * (stretched.square() - 1)
