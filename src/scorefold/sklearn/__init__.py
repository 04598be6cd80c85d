"""scikit-learn's interface: densities and bridges as estimators.

    from scorefold.sklearn import BridgeTransformer, Density

    density = Density("S^2", model="kernel", random_state=0).fit(points)
    density.score_samples(points)               # nats, with respect to Riemannian volume
    density.sample(100)

    bridge = BridgeTransformer(random_state=0).fit(here, there)
    bridge.transform(here)                      # points of the law of ``there``

Estimators take arrays of two axes, a point a row: points that are arrays themselves (rotations) are
flattened. Needs scikit-learn 1.6 or later, which scorefold does not install by itself.
"""

try:
    import sklearn.utils.validation as _validation
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "scorefold.sklearn needs scikit-learn: pip install 'scikit-learn>=1.6'.", name="sklearn"
    ) from error
if not hasattr(_validation, "validate_data"):
    raise ImportError("scorefold.sklearn needs scikit-learn 1.6 or later.", name="sklearn")

from scorefold.sklearn.bridge import BridgeTransformer
from scorefold.sklearn.density import Density

__all__ = ["BridgeTransformer", "Density"]
