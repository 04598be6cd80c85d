"""The mixtures by the law of their parts."""

from scorefold.models.mixtures.component import ComponentFamily
from scorefold.models.mixtures.heat import HeatComponents
from scorefold.models.mixtures.kent import KentComponents
from scorefold.models.mixtures.mixture import ParametricMixture
from scorefold.models.mixtures.von_mises_fisher import VonMisesFisherComponents
from scorefold.models.mixtures.wrapped_normal import WrappedNormalComponents


class KentMixture(ParametricMixture):
    """A mixture of Kent laws on S²,

        p(x) = Σ_k w_k exp{κ_k⟨γ_k1, x⟩ + β_k(⟨γ_k2, x⟩² − ⟨γ_k3, x⟩²)} / c(κ_k, β_k),  2β_k ≤ κ_k,

    by maximum likelihood; ``ParametricMixture`` has the arguments. ``parameters`` of the fitted
    mixture: ``weights``, ``mean``, ``major``, ``minor``, ``kappa``, ``beta``.

    Source: Kent 1982; Peel, Whiten & McLachlan 2001 (mixtures).
    """

    @property
    def family(self) -> ComponentFamily:
        return KentComponents()


class VonMisesFisherMixture(ParametricMixture):
    """A mixture of von Mises–Fisher laws on S^d, on S¹ of von Mises laws,

        p(x) = Σ_k w_k exp{κ_k⟨μ_k, x⟩} / c_d(κ_k),

    by maximum likelihood; ``ParametricMixture`` has the arguments. ``parameters`` of the fitted
    mixture: ``weights``, ``mean``, ``kappa``.

    Source: Banerjee, Dhillon, Ghosh & Sra 2005.
    """

    @property
    def family(self) -> ComponentFamily:
        return VonMisesFisherComponents()


class WrappedNormalMixture(ParametricMixture):
    """A mixture of wrapped normal laws with full covariances on T^d, d ≤ 12, and of the laws of
    exp_z(v), v normal, on R^d, H^d and products of these: x ~ exp_{z_k}(v), v ~ N(0, Σ_k),

        p(x) = Σ_k w_k Σ_turns N(log_{z_k} x + 2π·turns; 0, Σ_k)   on T^d,

    by maximum likelihood; ``ParametricMixture`` has the arguments, ``WrappedNormalComponents`` what
    is summed, and how wide a law may be. ``parameters`` of the fitted mixture: ``weights``,
    ``mean``, ``covariance``.
    """

    @property
    def family(self) -> ComponentFamily:
        return WrappedNormalComponents()


class HeatKernelMixture(ParametricMixture):
    """A mixture of heat kernels, on every geometry,

        p(x) = Σ_k w_k p_{s_k}(x | c_k),

    exact laws of Brownian motion that starts at c_k, with one variance-time each, by maximum
    likelihood; ``ParametricMixture`` has the arguments. ``parameters`` of the fitted mixture:
    ``weights``, ``centre``, ``s``.
    """

    @property
    def family(self) -> ComponentFamily:
        return HeatComponents()
