"""Darknet's training of a small network, slowly: two_convolutions.cfg in NumPy, written after its C code, in float64.

A step takes a batch in subdivisions: each is computed forward and backward, `*_updates` add up, and batch norm's
rolling statistics follow each time; then one update changes the weights (src/network.c, train_network, update_network).
"""

import numpy as np

SIZE, STRIDE, POOL = 3, 2, 4  # of the first convolution; of both poolings
ROLLING = 0.99


class Twin:
    """Convolution 3 x 3 with batch norm, two poolings, convolution 1 x 1 with biases.

    weights: kernel (3, 3, 3, F), gamma, beta, mean, variance (F,), last kernel (1, 1, F, O), biases (O,).
    """

    def __init__(self, kernel, gamma, beta, mean, variance, last_kernel, biases):
        arrays = (kernel, gamma, beta, last_kernel[0, 0], biases)
        self.kernel, self.gamma, self.beta, self.last_kernel, self.biases = self.weights = [
            np.array(array, np.float64) for array in arrays
        ]
        self.mean, self.variance = (np.array(array, np.float64) for array in (mean, variance))
        self.velocities = [
            np.zeros_like(array) for array in self.weights
        ]  # Darknet's weight_updates, scale_updates ...

    def step(self, parts, delta_of, rate: float, momentum: float, decay: float) -> None:
        """parts: images (B, H, W, 3) of each; delta_of(number, output): minus the region loss's gradient."""
        for number, images in enumerate(parts):
            self._backward(delta_of(number, self._forward(np.asarray(images, np.float64))))
        batch = sum(map(len, parts))
        for weight, updates in zip(self.weights, self.velocities, strict=True):
            if weight is self.kernel or weight is self.last_kernel:
                updates -= decay * batch * weight
            weight += rate / batch * updates
            updates *= momentum

    def _forward(self, images: np.ndarray) -> np.ndarray:
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        rows, columns = images.shape[1] // STRIDE, images.shape[2] // STRIDE
        self.patches = {
            (i, j): padded[:, i : i + STRIDE * rows : STRIDE, j : j + STRIDE * columns : STRIDE]
            for i in range(SIZE)
            for j in range(SIZE)
        }
        x = sum(patch @ self.kernel[place] for place, patch in self.patches.items())
        self.x, self.count = x, x.size // x.shape[-1]
        self.batch_mean = x.sum((0, 1, 2)) / self.count
        self.batch_variance = np.square(x - self.batch_mean).sum((0, 1, 2)) / (self.count - 1)
        self.mean = ROLLING * self.mean + (1 - ROLLING) * self.batch_mean
        self.variance = ROLLING * self.variance + (1 - ROLLING) * self.batch_variance
        self.normalised = (x - self.batch_mean) / (np.sqrt(self.batch_variance) + 1e-6)
        y = self.normalised * self.gamma + self.beta
        self.activated = np.where(y > 0, y, 0.1 * y)
        self.pooled = _pool(_pool(self.activated))
        return self.pooled @ self.last_kernel + self.biases

    def _backward(self, delta: np.ndarray) -> None:
        """Adds to the updates of all weights. (src/batchnorm_layer.c, backward_batchnorm_layer.)"""
        kernel, gamma, beta, last_kernel, biases = self.velocities
        biases += delta.sum((0, 1, 2))
        last_kernel += np.einsum('bhwf,bhwo->fo', self.pooled, delta)
        delta = _unpool(_unpool(delta @ self.last_kernel.T, _pool(self.activated)), self.activated)
        delta = np.where(self.activated > 0, delta, 0.1 * delta)
        beta += delta.sum((0, 1, 2))
        gamma += (delta * self.normalised).sum((0, 1, 2))
        delta, centred, above = delta * self.gamma, self.x - self.batch_mean, self.batch_variance + 1e-5
        mean_delta = -delta.sum((0, 1, 2)) / np.sqrt(above)
        variance_delta = -0.5 * (delta * centred).sum((0, 1, 2)) * above**-1.5
        delta = delta / np.sqrt(above) + (2 * variance_delta * centred + mean_delta) / self.count
        for place, patch in self.patches.items():
            kernel[place] += np.einsum('bhwc,bhwf->cf', patch, delta)


def _pool(x: np.ndarray) -> np.ndarray:
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // POOL, POOL, width // POOL, POOL, channels).max((2, 4))


def _unpool(delta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The delta of the input x of a pooling: it goes to the largest value of each window, the first of equal ones."""
    out = np.zeros_like(x)
    for b, row, column, channel in np.ndindex(*delta.shape):
        window = np.s_[b, POOL * row : POOL * (row + 1), POOL * column : POOL * (column + 1), channel]
        i, j = np.unravel_index(np.argmax(x[window]), (POOL, POOL))
        out[window][i, j] += delta[b, row, column, channel]
    return out
