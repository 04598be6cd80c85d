"""Linear algebra of small matrices inside compiled programs."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within, BLAS and LAPACK use one thread.

    On a processor, XLA calls the LAPACK of SciPy for factorisations, from its own threads. Where
    that starts threads too, the two wait for each other: a training step of ten covariances in 50
    dimensions takes 0.35 s on two cores, and 3 ms with one thread.
    """
    # The library must be there to be told: XLA loads it when it first needs it.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
