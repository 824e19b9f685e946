"""Networks with random weights that find something, and their exports, for tests of exporters."""

import numpy as np
from conftest import CLASSES, SMALL, encode_jpeg, make_image

from yolo.detection import host
from yolo.export import draft, exporting
from yolo.models import cfg
from yolo.models.build import DarknetModel
from yolo.models.folding import FoldedNetwork, fold
from yolo.models.model_folder import ModelInfo

SIZE = (96, 128)  # height, width
PHOTO_SIZES = ((96, 128), (150, 90), (61, 200))


def make_model(seed: int = 0) -> DarknetModel:
    """A small network whose batch norms are far from the identity, with scores all over 0..1 and boxes of all sizes."""
    rng = np.random.default_rng(seed)
    model = DarknetModel(cfg.read(SMALL), seen=640)
    for _, layer, norm in model.convolutions():
        layer.kernel.assign(rng.normal(0, 1 / np.sqrt(np.prod(layer.kernel.shape[:3])), layer.kernel.shape))
        if norm is None:
            layer.kernel.assign(layer.kernel * np.tile([0.5, 0.5, 0.2, 0.2, 2, 3, 3], 3))  # of t_x ... of an anchor
            layer.bias.assign(np.tile([0, 0, 0.2, 0.2, -0.5, 0, 0.7], 3))
        else:
            norm.gamma.assign(rng.uniform(0.7, 1.5, norm.gamma.shape))
            norm.beta.assign(rng.normal(0, 1, norm.beta.shape))
            norm.mean.assign(rng.normal(0, 0.1, norm.mean.shape))
            norm.variance.assign(rng.uniform(0.2, 1, norm.variance.shape))
    return model


def make_photo(seed: int, size: tuple[int, int]) -> np.ndarray:
    """A photo of `size` = height, width, uint8 RGB, without noise, which would hide how it was resized."""
    side = max(size)
    return np.ascontiguousarray(make_image(np.random.default_rng(seed), side, 4)[0][: size[0], : size[1]])


def make_files(sizes=PHOTO_SIZES) -> list[bytes]:
    """JPEG files of photos."""
    return [encode_jpeg(make_photo(i, size), 90) for i, size in enumerate(sizes)]


def export(folder, kind: str, resize: str = 'stretch', folded: FoldedNetwork | None = None, **options) -> str:
    """Exports a network in one format; returns the path of the file."""
    given = {'output': '', 'image_size': SIZE, 'score_threshold': 0.3, 'max_detections': 20, **options}
    batch_size, dynamic = given.pop('batch_size', None), given.pop('dynamic', False)
    plan = exporting.make_plan((kind,), draft.Options(**given), batch_size, dynamic)
    network = fold(make_model()) if folded is None else folded
    paths = exporting.export(network, ModelInfo(CLASSES, resize), plan, str(folder))
    return next(path for path in paths if not path.endswith('labels.txt'))


LIMITS = host.Thresholds(0.3, 0.45, 20)
