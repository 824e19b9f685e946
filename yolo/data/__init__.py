"""Annotations, images and records, and the tf.data graph that makes batches of them."""
