"""What computes a network: TensorFlow and the runtimes of exported models; and the detector of any model file."""
