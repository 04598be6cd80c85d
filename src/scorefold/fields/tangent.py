"""How the output of a network becomes a tangent vector, and how it is scaled in s."""

import abc
import math
from collections.abc import Callable

import equinox as eqx
from jaxtyping import Array

from scorefold._compile import quick_jit
from scorefold._matmul import tensordot
from scorefold._types import Key, Point, Scalar
from scorefold.fields._architecture import Architecture, Network
from scorefold.fields._base import TangentField
from scorefold.manifolds import Manifold
from scorefold.noising import Noising


class TangentOutput(eqx.Module):
    """Turns ``size(manifold)`` numbers into a tangent vector at x."""

    @abc.abstractmethod
    def size(self, manifold: Manifold) -> int:
        """How many numbers the network must give."""

    @abc.abstractmethod
    def __call__(self, manifold: Manifold, x: Point, c: Array) -> Point: ...


class AmbientOutput(TangentOutput):
    """An ambient vector, projected: v = P_x c. Smooth everywhere, D numbers for shape of size D.

    On flat space and on the torus, where ambient and intrinsic coordinates are one, v = c: the
    ordinary network of a Euclidean model, and the "torus" output.
    """

    def size(self, manifold: Manifold) -> int:
        return math.prod(manifold.shape)

    def __call__(self, manifold: Manifold, x: Point, c: Array) -> Point:
        return manifold.to_tangent(x, c.reshape(manifold.shape))


class FrameOutput(TangentOutput):
    """Components in the orthonormal frame: v = Σ c_i E_i(x). d numbers; as discontinuous as the
    frame is (every frame of an even sphere is somewhere)."""

    def size(self, manifold: Manifold) -> int:
        return manifold.dim

    def __call__(self, manifold: Manifold, x: Point, c: Array) -> Point:
        return manifold.from_components(x, c)


class KillingOutput(TangentOutput):
    """Coefficients of Killing fields, the generators of isometries: v = Σ c_k(x) K_k(x).

    Each K_k has divergence zero, so that div v = Σ ⟨∇c_k, K_k⟩. This is the "divergence-free"
    output on a sphere (rotations), the "Lie algebra" output on SO(3) (left-invariant fields, one
    number for each of the d dimensions) and the coordinate fields on a torus.
    """

    def size(self, manifold: Manifold) -> int:
        return manifold.killing(manifold.origin()).shape[0]

    def __call__(self, manifold: Manifold, x: Point, c: Array) -> Point:
        return tensordot(c, manifold.killing(x), axes=1)


class NetworkField(TangentField):
    """s_θ(x, s) = baseline(x, s) + scale(s) · output(network(embed(x), s)).

    ``scale`` and ``baseline`` come from the noising process, so one network of outputs O(1)
    serves every s (De Bortoli et al. 2022, Appendix on parametrisation, divide by the standard
    deviation on every manifold; here by the exact decay of the heat flow).

    **Arguments:** ``network``: (features h, s) ↦ ``output.size(manifold)`` numbers, for features
    h of the size of ``manifold.embed(x)``.
    """

    manifold: Manifold
    network: Callable[[Array, Scalar], Array]
    output: TangentOutput
    noising: Noising

    def __call__(self, x: Point, s: Scalar) -> Point:
        c = self.network(self.manifold.embed(x), s)
        v = self.output(self.manifold, x, c)
        return self.noising.baseline(x, s) + self.noising.scale(s) * v


def network_for(
    spec: Architecture, manifold: Manifold, output: TangentOutput, x: Point, key: Key
) -> Network:
    """A new network from ``manifold.embed(x)`` to ``output``, in the dtype of x. One program: half
    the time of as many programs as there are arrays."""
    sizes = int(manifold.embed(x).size), output.size(manifold)
    return quick_jit(type(spec).build, level=0)(spec, *sizes, dtype=x.dtype, key=key)


def default_output(manifold: Manifold) -> TangentOutput:
    """The output that suits the manifold (``manifold.tangent_output``): left-invariant fields on
    SO(3), components in the frame where a factor is hyperbolic, the projection of an ambient vector
    elsewhere."""
    outputs = {"ambient": AmbientOutput(), "frame": FrameOutput(), "killing": KillingOutput()}
    return outputs[manifold.tangent_output]
