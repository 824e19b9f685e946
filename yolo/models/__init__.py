"""Networks: one description of each, its Keras model, and the files that hold either."""
