"""Strict mode for the whole suite: float32 and float64 side by side, and nothing promoted silently."""

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
