"""Products of matrices that matrix units do not round.

By default accelerators round the factors of a product of float32 arrays to 11 or 8 bits. A network
can bear that; points, tangent vectors, covariances and densities cannot. Processors round nothing:
there the results are those of ``@``, bit for bit.
"""

import functools

import jax.numpy as jnp

matmul = functools.partial(jnp.matmul, precision="highest")
tensordot = functools.partial(jnp.tensordot, precision="highest")
einsum = functools.partial(jnp.einsum, precision="highest")
