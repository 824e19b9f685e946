"""Predict on anything that has pixels: where images and videos come from, and what is written of them."""
