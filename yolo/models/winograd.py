"""Convolutions of 3 x 3 by Winograd's minimal filtering F(4 x 4, 3 x 3): tensor code that XLA compiles for CPUs.

Tiles of 6 x 6 inputs and the kernel are transformed, multiplied element by element (summed over the inputs' channels:
36 products of matrices) and transformed back to 4 x 4 outputs: a quarter of the multiplications. The gradients to the
inputs and to the kernel are the transposed steps. (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks,
2015.) The points of the interpolation are 0, +-sqrt(1/2), +-sqrt(2) and infinity, whose float32 error is less than half
of that of the usual 0, +-1, +-2: 1e-6 to 3e-6 of the outputs' size, where a plain convolution has 3e-7.

Transformed tensors are larger than what they come from, so they are made in blocks that fit the processor's cache: of
some images, or of some filters where the kernel is the larger one.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from yolo.models import winograd_transforms as transforms

PRODUCTS = transforms.IN**2
BLOCK_BYTES = 20 << 20  # of transformed inputs and outputs at once, or of a transformed kernel


def convolve(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolution of stride 1 with zeros around: (B, H, W, C), (3, 3, C, K) float32 -> (B, H, W, K).

    The shapes must be known. It has a first gradient and no second one.
    """
    batch, height, width, channels = inputs.shape
    filters = kernel.shape[-1]
    if _has_large_kernel(channels, filters):
        rows, columns = arrangement(batch, height, width)
        blocks = _divisor(filters, _kernel_bytes(channels, filters))
        return _take_apart(_by_filters(_arrange(inputs, rows, columns), kernel, blocks), rows, columns, height, width)
    tiles = batch * _tiles(height, width)
    return _by_images(inputs, kernel, _divisor(batch, 4 * PRODUCTS * tiles * (channels + filters)))


def _divisor(number: int, num_bytes: int) -> int:
    """Into how many equal blocks to divide `number` things of `num_bytes` together."""
    return next(n for n in range(1, number + 1) if number % n == 0 and (num_bytes / n <= BLOCK_BYTES or n == number))


def _by_images(inputs: tf.Tensor, kernel: tf.Tensor, num_blocks: int) -> tf.Tensor:
    """`convolve` in blocks of images."""
    batch, height, width, channels = inputs.shape
    filters = kernel.shape[-1]
    block = (batch // num_blocks, height, width)

    @tf.custom_gradient
    def operation(inputs, kernel):
        parts, factors = tf.reshape(inputs, (num_blocks, *block, channels)), transforms.transform_kernel(kernel)

        def forward(i, total):
            return total, transforms.transform_outputs(transforms.transform_inputs(parts[i]) @ factors, block)

        _, outputs = _loop(forward, num_blocks, (), (*block, filters))

        def gradient(upstream):
            upstream = tf.reshape(upstream, (num_blocks, *block, filters))

            def backward(i, total):
                products = transforms.transform_outputs_back(upstream[i])
                total += tf.matmul(transforms.transform_inputs(parts[i]), products, transpose_a=True)
                return total, transforms.transform_inputs_back(tf.matmul(products, factors, transpose_b=True), block)

            total, to_inputs = _loop(backward, num_blocks, tf.zeros_like(factors), (*block, channels))
            return tf.reshape(to_inputs, (batch, height, width, channels)), transforms.transform_kernel_back(total)

        return tf.reshape(outputs, (batch, height, width, filters)), gradient

    return operation(inputs, kernel)


def _by_filters(inputs: tf.Tensor, kernel: tf.Tensor, num_blocks: int) -> tf.Tensor:
    """`convolve` in blocks of filters."""
    batch, height, width, channels = inputs.shape
    filters = kernel.shape[-1]
    block, image = filters // num_blocks, (batch, height, width)

    @tf.custom_gradient
    def operation(inputs, kernel):
        def factors_of(i):
            return transforms.transform_kernel(tf.slice(kernel, (0, 0, 0, i * block), (3, 3, channels, block)))

        transformed = transforms.transform_inputs(inputs)

        def forward(i, total):
            return total, transforms.transform_outputs(transformed @ factors_of(i), image)

        _, outputs = _loop(forward, num_blocks, (), (*image, block))

        def gradient(upstream):
            transformed = transforms.transform_inputs(inputs)

            def backward(i, total):
                products = transforms.transform_outputs_back(tf.slice(upstream, (0, 0, 0, i * block), (*image, block)))
                to_kernel = transforms.transform_kernel_back(tf.matmul(transformed, products, transpose_a=True))
                return total + tf.matmul(products, factors_of(i), transpose_b=True), to_kernel

            total, to_kernel = _loop(backward, num_blocks, tf.zeros_like(transformed), (3, 3, channels, block))
            return transforms.transform_inputs_back(total, image), _join(to_kernel, kernel.shape)

        return _join(outputs, (*image, filters)), gradient

    return operation(inputs, kernel)


def _join(blocks: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Blocks (N, ..., n) of the last axis, side by side: (..., N n)."""
    axes = (*range(1, len(shape)), 0, len(shape))
    return tf.reshape(tf.transpose(blocks, axes), shape)


def _loop(step: Callable, count: int, total, shape: Sequence[int]):
    """`total, value = step(i, total)` for i in range(count): the last total, and the values, (count, *shape)."""
    if count == 1:
        total, value = step(0, total)
        return total, value[None]

    def body(i, total, values):
        total, value = step(i, total)
        return i + 1, total, values.write(i, value)

    values = tf.TensorArray(tf.float32, count, element_shape=shape)
    _, total, values = tf.while_loop(lambda i, *_: i < count, body, (0, total, values), maximum_iterations=count)
    return total, values.stack()


def arrangement(batch: int, height: int, width: int) -> tuple[int, int]:
    """In how many rows and columns to lay a batch out as one picture, one zero between, for the fewest tiles; or 0, 0.

    Images of 13 x 13 need 16 tiles each by themselves, and 12.25 in two rows of four.
    """

    def tiles(rows: int) -> int:
        return _picture_tiles(rows, batch // rows, height, width)

    rows = min((rows for rows in range(1, batch + 1) if batch % rows == 0), key=tiles)
    return (rows, batch // rows) if tiles(rows) < 0.95 * batch * _tiles(height, width) else (0, 0)


def _tiles(height: int, width: int) -> int:
    """How many tiles cover an image."""
    return transforms.num_tiles(height) * transforms.num_tiles(width)


def _picture_tiles(rows: int, columns: int, height: int, width: int) -> int:
    """How many tiles cover the picture that `_arrange` makes."""
    return _tiles(rows * (height + 1), columns * (width + 1))


def num_tiles(images: Sequence[int], channels: int, filters: int) -> int:
    """How many tiles `convolve` takes for images (B, H, W) with so many channels."""
    batch, height, width = images
    rows, columns = arrangement(*images) if _has_large_kernel(channels, filters) else (0, 0)
    return _picture_tiles(rows, columns, height, width) if rows else batch * _tiles(height, width)


def _has_large_kernel(channels: int, filters: int) -> bool:
    """Whether the transformed kernel does not fit the cache, so that filters are divided, not images."""
    return _kernel_bytes(channels, filters) > 2 * BLOCK_BYTES


def _kernel_bytes(channels: int, filters: int) -> int:
    """Of a transformed kernel."""
    return 4 * PRODUCTS * channels * filters


def _arrange(images: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """(B, H, W, C) -> one picture (1, rows (H + 1), columns (W + 1), C); rows 0: as it is."""
    if not rows:
        return images
    _, height, width, channels = images.shape
    padded = tf.pad(images, [[0, 0], [0, 1], [0, 1], [0, 0]])
    parts = tf.transpose(tf.reshape(padded, (rows, columns, height + 1, width + 1, channels)), (0, 2, 1, 3, 4))
    return tf.reshape(parts, (1, rows * (height + 1), columns * (width + 1), channels))


def _take_apart(picture: tf.Tensor, rows: int, columns: int, height: int, width: int) -> tf.Tensor:
    """The inverse of `_arrange`."""
    if not rows:
        return picture
    channels = picture.shape[-1]
    parts = tf.reshape(picture, (rows, height + 1, columns, width + 1, channels))
    parts = tf.transpose(parts, (0, 2, 1, 3, 4))[:, :, :height, :width]
    return tf.reshape(parts, (rows * columns, height, width, channels))
