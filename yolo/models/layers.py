"""The layers of Darknet that Keras lacks or computes differently; each says why it is not Keras' own."""

import keras
import tensorflow as tf

from yolo.models import fast_convolutions
from yolo.models.replicas import num_replicas, sum_over_replicas

MOMENTUM, EPSILON = 0.99, 1e-6


@keras.saving.register_keras_serializable('yolo')
class BatchNorm(keras.layers.Layer):
    """Darknet's batch normalisation over (B, H, W): (x - mean) / (sqrt(variance) + 1e-6) * gamma + beta.

    Not keras.layers.BatchNormalization: that has its epsilon under the square root, so that Darknet's weights give
    other numbers, and its variance is the biased one. In training the mean and the unbiased variance are those of the
    batch, and the moving ones follow with momentum 0.99. `synchronized`: of the global batch, over all replicas; else
    of each replica's own. (Darknet src/batchnorm_layer.c, src/blas.c.)
    """

    synchronized = True

    def build(self, shape):
        channels = (shape[-1],)  # all four stay float32 in mixed precision
        self.gamma = self.add_weight(name='gamma', shape=channels, initializer='ones', autocast=False)
        self.beta = self.add_weight(name='beta', shape=channels, initializer='zeros', autocast=False)
        self.mean = self.add_weight(name='mean', shape=channels, initializer='zeros', trainable=False, autocast=False)
        self.variance = self.add_weight(
            name='variance', shape=channels, initializer='ones', trainable=False, autocast=False
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not (training and self.trainable):  # a frozen layer computes as at inference
            return _scale(x, *map(tf.convert_to_tensor, (self.gamma, self.beta, self.mean, self.variance)))[0]
        mean, variance, count = batch_moments(x, self.synchronized)
        self.mean.assign(MOMENTUM * self.mean + (1 - MOMENTUM) * mean)
        self.variance.assign(MOMENTUM * self.variance + (1 - MOMENTUM) * variance)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        return _normalise(x, gamma, beta, mean, variance, count, self.synchronized)

    def compute_output_shape(self, shape):
        return shape


def batch_moments(x: tf.Tensor, synchronized: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean (C,), unbiased variance (C,) and number of what is normalised together; x (B, H, W, C). Constants.

    synchronized: over all replicas. These exchange their own moments, all in one sum, and combine them as Chan et al.
    do (Updating formulae and a pairwise algorithm for computing sample variances, 1979): a sum of squares would lose
    digits.
    """
    x = tf.stop_gradient(tf.cast(x, tf.float32))
    mean = tf.reduce_mean(x, (0, 1, 2))
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), (0, 1, 2))
    replicas = num_replicas() if synchronized else 1
    count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]) * replicas, tf.float32)
    if replicas > 1:
        own = tf.one_hot(tf.distribute.get_replica_context().replica_id_in_sync_group, replicas)  # (R,)
        moments = tf.stack([mean, variance])  # (2, C)
        [moments] = sum_over_replicas([own[:, None, None] * moments])  # (R, 2, C)
        mean = tf.reduce_mean(moments[:, 0], 0)
        variance = tf.reduce_mean(moments[:, 1] + tf.math.squared_difference(moments[:, 0], mean), 0)
    return mean, variance * count / tf.maximum(count - 1, 1), count


def _scale(x, gamma, beta, mean, variance) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """(x - mean) / (sqrt(variance) + 1e-6) * gamma + beta, of the type of x; the factor on x; sqrt(variance)."""
    deviation = tf.sqrt(variance)
    scale = gamma / (deviation + EPSILON)
    return x * tf.cast(scale, x.dtype) + tf.cast(beta - mean * scale, x.dtype), scale, deviation


def _normalise(x, gamma, beta, mean, variance, count, synchronized: bool) -> tf.Tensor:
    """What `_scale` gives for x with the moments of the same batch.

    Its gradient is written out, moments included, so that replicas have to exchange one small sum for it, and not what
    the chain rule would have them exchange; and so that a batch is read and written fewer times.
    """

    @tf.custom_gradient
    def normalise(x, gamma, beta, mean, variance, count):
        y, scale, deviation = _scale(x, gamma, beta, mean, variance)

        def gradient(upstream):
            dy, centred = tf.cast(upstream, tf.float32), tf.cast(x, tf.float32) - mean
            own = tf.stack([tf.reduce_sum(dy, (0, 1, 2)), tf.reduce_sum(dy * centred, (0, 1, 2))])  # (2, C)
            total = sum_over_replicas([own])[0] if synchronized else own
            # A channel that is constant over a batch has no variance to change.
            curvature = (deviation + EPSILON) * deviation * tf.maximum(count - 1, 1)
            dx = scale * (dy - total[0] / count - centred * tf.math.divide_no_nan(total[1], curvature))
            return tf.cast(dx, x.dtype), own[1] / (deviation + EPSILON), own[0], None, None, None

        return y, gradient

    return normalise(x, gamma, beta, mean, variance, count)


@keras.saving.register_keras_serializable('yolo')
class MaxPool2D(keras.layers.MaxPool2D):
    """Keras' max pooling, with a second implementation that is fast when XLA compiles it.

    On CPUs, XLA computes the gradient of Keras' pooling one number at a time, and not at all with deterministic ops.
    For pools of 2 x 2, `pairwise` takes maxima of pairs instead: the same numbers and the same gradient, all of which
    goes to the first of equal inputs. Without XLA, Keras' own is faster.
    """

    pairwise = False

    def call(self, x: tf.Tensor) -> tf.Tensor:
        height, width, channels = x.shape[1:]
        if not self.pairwise or self.pool_size != (2, 2):
            return super().call(x)
        if self.strides == (2, 2) and not (height % 2 or width % 2):
            parts = tf.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
            rows = [[parts[:, :, i, :, j] for j in (0, 1)] for i in (0, 1)]
        elif self.strides == (1, 1) and self.padding == 'same':
            padded = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]], constant_values=x.dtype.min)
            rows = [[padded[:, i : i + height, j : j + width] for j in (0, 1)] for i in (0, 1)]
        else:
            return super().call(x)
        return tf.maximum(tf.maximum(*rows[0]), tf.maximum(*rows[1]))


@keras.saving.register_keras_serializable('yolo')
class Conv2D(keras.layers.Conv2D):
    """Keras' convolution, with other implementations that are fast when XLA compiles them for a CPU.

    Within `fast_convolutions.enabled()` kernels of 3 x 3 take the one that `fast_convolutions.choose` says.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        plain = self.strides == (1, 1) and self.padding == 'same' and self.dilation_rate == (1, 1) and self.groups == 1
        if plain and self.data_format == 'channels_last' and (convolve := fast_convolutions.choose(inputs, kernel)):
            return convolve(inputs, tf.convert_to_tensor(kernel))
        return super().convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable('yolo')
class PadLowest(keras.layers.Layer):
    """Pads with the lowest number of its type, which max pooling never takes.

    before, after: rows at the top and bottom, and columns at the left and right. Not keras.layers.ZeroPadding2D: a zero
    would win over negative inputs.
    """

    def __init__(self, before: int, after: int, **kwargs):
        super().__init__(**kwargs)
        self.before, self.after = before, after

    def call(self, x: tf.Tensor) -> tf.Tensor:
        sides = [self.before, self.after]
        return tf.pad(x, [[0, 0], sides, sides, [0, 0]], constant_values=x.dtype.min)

    def compute_output_shape(self, shape):
        more, (batch, height, width, channels) = self.before + self.after, shape
        return (batch, height and height + more, width and width + more, channels)

    def get_config(self):
        return {**super().get_config(), 'before': self.before, 'after': self.after}


@keras.saving.register_keras_serializable('yolo', name='Reorg')
class ReorgLayer(keras.layers.Layer):
    """Darknet's reorg of stride s: (B, H, W, C) -> (B, H/s, W/s, C s^2); C must divide by s^2.

    Not tf.nn.space_to_depth: Darknet rearranges (C / s^2, H s, W s) to (C, H, W) and reads the result as
    (C s^2, H/s, W/s), which is another order of channels, and its weights need that one. (Darknet src/blas.c,
    reorg_cpu.)
    """

    def __init__(self, stride: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, x: tf.Tensor) -> tf.Tensor:
        s, channels = self.stride, x.shape[-1]
        shape = tf.shape(x)
        batch, height, width = shape[0], shape[1], shape[2]
        flat = tf.transpose(x, (0, 3, 1, 2))  # channels first, as in Darknet's memory
        parts = tf.reshape(flat, (batch, channels // s**2, height, s, width, s))  # k % oc, j, o // s, i, o % s
        parts = tf.transpose(parts, (0, 3, 5, 1, 2, 4))  # o // s, o % s, k % oc, j, i
        out = tf.reshape(parts, (batch, channels * s**2, height // s, width // s))
        return tf.transpose(out, (0, 2, 3, 1))

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        return (batch, height and height // self.stride, width and width // self.stride, channels * self.stride**2)

    def get_config(self):
        return {**super().get_config(), 'stride': self.stride}


@keras.saving.register_keras_serializable('yolo')
class SplitAnchors(keras.layers.Layer):
    """The last convolution's channels by anchor: (B, GH, GW, A (5 + C)) -> (B, GH, GW, A, 5 + C) float32.

    Not keras.layers.Reshape: that allows only one unknown side, and here both sides of the grid are unknown.
    """

    def __init__(self, num_anchors: int, **kwargs):
        super().__init__(**kwargs)
        self.num_anchors = num_anchors

    def call(self, x: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(x)
        values = x.shape[-1] // self.num_anchors
        return tf.cast(tf.reshape(x, (shape[0], shape[1], shape[2], self.num_anchors, values)), tf.float32)

    def compute_output_shape(self, shape):
        return (*shape[:3], self.num_anchors, shape[3] // self.num_anchors)

    def get_config(self):
        return {**super().get_config(), 'num_anchors': self.num_anchors}
