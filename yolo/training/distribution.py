"""The devices of a run: one tf.distribute strategy for all of them, and sums over its processes."""

import json
import os
import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from yolo import signals
from yolo.training import join_watch, rendezvous
from yolo.training.config import JOIN_TIMEOUT, STRATEGIES

TF_CONFIG = '{"cluster": {"worker": ["host1:4711", "host2:4711"]}, "task": {"type": "worker", "index": 0}}'
MOST_SHOWN = 300  # characters of a TF_CONFIG that is wrong
LAST_PORT = 65535
DEVICE_BYTES = 1 << 20  # that each device sends at a time, where bytes of all processes are gathered
LENGTH = 8  # bytes of their number, before them
# What TensorFlow writes into an error that another process had first, or that came with a call of another process.
FROM_OTHERS = ('aborted by: ', 'GRPC error information from remote target')


def make_strategy(
    kind: str = 'auto', devices: Sequence[str] = (), tpu: str = '', join_timeout: float = JOIN_TIMEOUT
) -> tf.distribute.Strategy:
    """The tf.distribute strategy of a kind, one of STRATEGIES.

    auto: multi_worker_mirrored where TF_CONFIG names several processes, tpu where `tpu` is given, else mirrored.
    mirrored: one_device where there is one. devices: which to take; the default is all GPUs or, where there is none,
    all logical CPU devices. tpu: name or address of the TPU, '' or 'local' for one of this machine. join_timeout: how
    many minutes to wait for the other workers. ValueError if this machine has no such device or TF_CONFIG cannot be
    right, OSError if the workers do not come or cannot join.
    """
    if kind not in STRATEGIES:
        raise ValueError(f'unknown strategy {kind!r}; there are {", ".join(STRATEGIES)}')
    if kind == 'multi_worker_mirrored' or (kind == 'auto' and sum(map(len, _tf_config()[0].values())) > 1):
        return _multi_worker(join_timeout)
    if kind == 'tpu' or (kind == 'auto' and tpu):
        return _tpu(tpu)
    if not devices:
        logical_devices = tf.config.list_logical_devices('GPU') or tf.config.list_logical_devices('CPU')
        devices = [device.name for device in logical_devices]
    if kind == 'one_device' or len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(devices[0])
    # On CPUs the default (collectives) would mix up its keys with those of an earlier strategy of this process.
    cpu = all('CPU' in device for device in devices)
    return tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice() if cpu else None)


def _tf_config() -> tuple[dict[str, list], dict]:
    """The cluster and the task in TF_CONFIG, each empty where it has none."""
    text = os.environ.get('TF_CONFIG') or '{}'
    try:
        config = json.loads(text)
        cluster, task = config.get('cluster', {}), config.get('task', {})
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f'TF_CONFIG is not what TensorFlow asks for: {text[:MOST_SHOWN]}') from error
    is_cluster = isinstance(cluster, dict) and all(isinstance(addresses, list) for addresses in cluster.values())
    if not is_cluster or not isinstance(task, dict):
        raise ValueError(f'TF_CONFIG is not what TensorFlow asks for: {text[:MOST_SHOWN]}')
    return cluster, task


def _tpu(name: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name or 'local')
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise ValueError(f'--strategy=tpu: no TPU {name or "local"!r} ({str(error).splitlines()[0]})') from error


def _multi_worker(join_timeout: float) -> tf.distribute.Strategy:
    workers, index = _workers()
    others = [worker for worker in workers if worker != workers[index]]
    logging.info('waiting for all of %s; this is %s', ', '.join(workers), workers[index])
    if others:
        rendezvous.meet(workers, index, 60 * join_timeout)
    try:
        with join_watch.limited(others):
            return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise ConnectionError(
            f'this process, {workers[index]} in TF_CONFIG, cannot join the others: {" ".join(error.message.split())}'
        ) from error
    finally:
        signals.install()  # TensorFlow has taken them for its own


def _workers() -> tuple[list[str], int]:
    """The addresses of all workers in TF_CONFIG, and which of them is this process; ValueError if it is not right."""
    cluster, task = _tf_config()
    example = f'as {TF_CONFIG}, with another index on each'
    if not cluster:
        raise ValueError(
            f'--strategy=multi_worker_mirrored: the environment variable TF_CONFIG has to name the workers, {example}'
        )
    if set(cluster) != {'worker'}:
        raise ValueError(f'TF_CONFIG: every process has to be a worker, {example}; there are {", ".join(cluster)}')
    workers, index = cluster['worker'], str(task.get('index'))
    if task.get('type') != 'worker' or index not in map(str, range(len(workers))):
        raise ValueError(f'TF_CONFIG has to be {example}; it is {os.environ["TF_CONFIG"]}')
    seen: set[str] = set()
    for worker in workers:
        host, _, port = worker.rpartition(':') if isinstance(worker, str) else ('', '', '')
        if not host or not re.fullmatch('[0-9]+', port):
            raise ValueError(f'TF_CONFIG has to be {example}; {worker!r} is not an address host:port')
        if len(port) > 5 or not 1 <= int(port) <= LAST_PORT:
            raise ValueError(f'TF_CONFIG: {worker}: a port is a number from 1 to {LAST_PORT}')
        address = f'{host.lower()}:{int(port)}'
        if address in seen:
            raise ValueError(f'TF_CONFIG names {worker} twice; every worker needs an address of its own')
        seen.add(address)
    return workers, int(index)


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """How many processes train together."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return 1
    return len(resolver.cluster_spec().as_dict().get('worker', [])) or 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    return num_workers(strategy) == 1 or strategy.cluster_resolver.task_id == 0


def is_of_others(error: tf.errors.OpError) -> bool:
    """Whether an error in one of several processes came from another, and not from its own data, disk or devices.

    Workers that were killed or stopped while they joined, took steps, saved or evaluated left the others with
    UnavailableError, as far as its class was recorded, or with one of FROM_OTHERS in the message. Any other
    InternalError is of this process: a failing device is one too.
    """
    codes = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    return isinstance(error, codes) or any(text in error.message for text in FROM_OTHERS)


def has_accelerator() -> bool:
    """Whether this process sees a device that is faster than CPUs: a GPU or TPU."""
    return any(device.device_type != 'CPU' for device in tf.config.list_logical_devices())


class HostCollective:
    """Sums of numbers and bytes of all over the processes of a run, between steps.

    index: of this process; count: how many there are.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self.is_chief, self.count = is_chief(strategy), num_workers(strategy)
        self.index = strategy.cluster_resolver.task_id if self.count > 1 else 0
        self.is_alone = self.count == 1
        self._sum: Callable | None = None
        self._gather: Callable | None = None
        self._strategy = strategy
        self._row_bytes = len(strategy.extended.worker_devices) * DEVICE_BYTES

    def sum(self, value: float) -> float:
        """The sum of the values of all processes; each of them has to call this."""
        if self.is_alone:
            return value
        if self._sum is None:
            strategy, local = self._strategy, len(self._strategy.extended.worker_devices)

            @tf.function
            def add(value: tf.Tensor) -> tf.Tensor:
                return strategy.reduce('SUM', strategy.run(lambda v: v / local, args=(value,)), axis=None)

            self._sum = add
        return float(self._sum(tf.constant(value, tf.float64)))

    def from_chief(self, value: float) -> float:
        """The value of the chief, in every process."""
        return self.sum(value if self.is_chief else 0.0)

    def gather(self, data: bytes) -> list[bytes]:
        """The bytes of every process, in the order of the processes; each of them has to call this."""
        if self.is_alone:
            return [data]
        data = len(data).to_bytes(LENGTH, 'little') + data
        received, expected, start = [b''] * self.count, LENGTH, 0
        while start < expected:  # the same in every process: the length of the longest
            rows = self._gather_rows(data[start : start + self._row_bytes])
            received = [before + row for before, row in zip(received, rows, strict=True)]
            lengths = [LENGTH + int.from_bytes(each[:LENGTH], 'little') for each in received]
            expected, start = max(lengths), start + self._row_bytes
        return [each[LENGTH:length] for each, length in zip(received, lengths, strict=True)]

    def _gather_rows(self, row: bytes) -> list[bytes]:
        """A row of bytes of every process, filled up to a fixed length; each device sends an equal part of it."""
        strategy, local = self._strategy, len(self._strategy.extended.worker_devices)
        if self._gather is None:

            @tf.function
            def gather(parts: tf.Tensor) -> tf.Tensor:
                return strategy.gather(strategy.run(tf.identity, args=(parts,)), 0)

            self._gather = gather
        numbers = np.frombuffer(row.ljust(self._row_bytes, b'\0'), np.int64).reshape(local, -1)
        parts = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(numbers[context.replica_id_in_sync_group % local])
        )
        rows = self._gather(parts).numpy().reshape(self.count, -1)
        return [each.tobytes() for each in rows]


def describe(strategy: tf.distribute.Strategy) -> str:
    """The strategy, its devices and its processes, as `MirroredStrategy on 2 GPUs (NVIDIA H100)`."""
    return f'{type(strategy).__name__} on {describe_devices(strategy)}'


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Its devices and its processes, as `2 GPUs (NVIDIA H100)`."""
    workers, count = num_workers(strategy), strategy.num_replicas_in_sync
    devices = [tf.DeviceSpec.from_string(device) for device in strategy.extended.worker_devices]  # of this process
    text = f'{count} {devices[0].device_type}{"s" if count > 1 else ""}'
    names = _gpu_names([device.device_index or 0 for device in devices if device.device_type == 'GPU'])
    text += f' ({", ".join(names)})' if names else ''
    return text + (f' in {workers} processes, this is {strategy.cluster_resolver.task_id}' if workers > 1 else '')


def _gpu_names(indices: Sequence[int]) -> list[str]:
    """The different models of some GPUs, as far as TensorFlow knows them."""
    names = []
    for index, gpu in enumerate(tf.config.get_visible_devices('GPU') if indices else []):
        try:
            name = tf.config.experimental.get_device_details(gpu).get('device_name')
        except (ValueError, RuntimeError, tf.errors.OpError):  # a run does not depend on the name
            name = None
        if index in indices and name:
            names.append(name)
    return list(dict.fromkeys(names))
