"""The settings of train.py and eval.py that say on which devices to compute, and the strategy that they name."""

import dataclasses
from typing import TYPE_CHECKING

from yolo.settings import setting
from yolo.training.config import JOIN_TIMEOUT, STRATEGIES

if TYPE_CHECKING:
    import tensorflow as tf

DEVICES = 'Devices'


@dataclasses.dataclass(frozen=True)
class Devices:
    """What to compute on; a run may be continued on other devices."""

    strategy: str = setting(
        'auto',
        'auto: all GPUs of the machine (else its CPU), all workers that TF_CONFIG names, or the TPU of --tpu.',
        group=DEVICES,
        choices=STRATEGIES,
    )
    tpu: str = setting('', 'Name or address of a TPU, or local.', group=DEVICES, unset='none')
    cpu_devices: int = setting(
        1, 'Without a GPU: logical CPU devices to compute on, to try several replicas.', group=DEVICES, low=1, high=64
    )
    join_timeout: float = setting(
        JOIN_TIMEOUT,
        'Minutes to wait for the other workers that TF_CONFIG names.',
        group=DEVICES,
        low=0.01,
        high=10080,
    )

    def make_strategy(self) -> 'tf.distribute.Strategy':
        """The strategy of these settings, as `distribution.make_strategy`; before TensorFlow uses its devices."""
        import tensorflow as tf

        from yolo.training import distribution

        if self.cpu_devices > 1:
            cpu = tf.config.list_physical_devices('CPU')[0]
            logical = [tf.config.LogicalDeviceConfiguration()] * self.cpu_devices
            tf.config.set_logical_device_configuration(cpu, logical)
        strategy = distribution.make_strategy(self.strategy, tpu=self.tpu, join_timeout=self.join_timeout)
        devices = strategy.extended.worker_devices
        if distribution.num_workers(strategy) > 1 and self.cpu_devices > len(devices) and 'CPU' in devices[0]:
            raise ValueError(
                f'--cpu_devices={self.cpu_devices}: with several workers TensorFlow computes on one CPU device of '
                'each; leave it out'
            )
        return strategy
