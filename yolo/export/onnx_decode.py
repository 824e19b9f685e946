"""What follows the last convolution in an ONNX file: nothing, decoded boxes and scores, or detections."""

import numpy as np
from onnx import TensorProto, helper

from yolo.detection import exported, options
from yolo.detection.exported import Exported, Tensor
from yolo.export.onnx_graph import Graph
from yolo.geometry.limits import MOST_EXPONENT

CORNERS = 'xmin, ymin, xmax, ymax relative 0..1, not clipped to the image'


def write(graph: Graph, grid: str, size: tuple[int, int], about: Exported) -> tuple[Tensor, ...]:
    """Writes the nodes after `grid` (B, A (5 + C), GH, GW), of `size` = GH, GW; returns the outputs of the file."""
    if about.output == exported.RAW:
        graph.rename(grid, 'grid')
        channels = len(about.anchors) * (5 + len(about.classes))
        meaning = 'image, anchor x (t_x, t_y, t_w, t_h, t_o, class logits), row, column'
        return (Tensor('grid', (about.batch_size, channels, *size), 'float32', meaning),)
    boxes, scores = _write_decoding(graph, grid, size, about)
    if about.output == exported.DETECTIONS:
        return _write_suppression(graph, boxes, scores, about)
    graph.rename(boxes, 'boxes')
    graph.rename(scores, 'scores')
    places = size[0] * size[1] * len(about.anchors)
    order = 'image, place (row, column, anchor)'
    return (
        Tensor('boxes', (about.batch_size, places, 4), 'float32', f'{order}, {CORNERS}'),
        Tensor(
            'scores',
            (about.batch_size, places, len(about.classes)),
            'float32',
            f'{order}, class; objectness x class probability, 0..1',
        ),
    )


def _write_decoding(graph: Graph, grid: str, size: tuple[int, int], about: Exported) -> tuple[str, str]:
    """Writes the decoding; returns boxes (B, N, 4) and scores (B, N, C) of the N = GH GW A places.

    (Darknet src/region_layer.c, get_region_box.)
    """
    (rows, columns), anchors = size, np.asarray(about.anchors, np.float32)
    num_anchors, values = len(anchors), 5 + len(about.classes)
    places = graph.reshape(grid, (-1, num_anchors, values, rows * columns), 'by_anchor')
    places = graph.node('Transpose', [places], 'by_cell', perm=[0, 3, 1, 2])
    places = graph.reshape(places, (-1, rows * columns * num_anchors, values), 'places')

    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)[:, :, None]  # (GH, GW, 1, 2) column, row
    sides = np.array([columns, rows], np.float32)
    shape = (1, rows * columns * num_anchors, 2)
    corner = np.broadcast_to(cells / sides, (rows, columns, num_anchors, 2)).reshape(shape)
    half = np.broadcast_to(anchors / sides / 2, (rows, columns, num_anchors, 2)).reshape(shape)

    offset = graph.node('Sigmoid', [graph.slice(places, 0, 2, 2, 't_xy')], 'offset')
    offset = graph.node('Mul', [offset, graph.floats('cell_size', (1 / sides).reshape(1, 1, 2))], 'offset_relative')
    centre = graph.node('Add', [offset, graph.floats('cell_corners', corner)], 'centres')
    exponent = graph.node(
        'Min', [graph.slice(places, 2, 4, 2, 't_wh'), graph.floats('largest', [MOST_EXPONENT])], 't_wh_bounded'
    )
    half_size = graph.node('Mul', [graph.node('Exp', [exponent], 'factor'), graph.floats('halves', half)], 'half_sizes')
    low, high = (graph.node(kind, [centre, half_size], name) for kind, name in (('Sub', 'low'), ('Add', 'high')))
    boxes = graph.node('Concat', [low, high], 'all_boxes', axis=2)

    objectness = graph.node('Sigmoid', [graph.slice(places, 4, 5, 2, 't_o')], 'objectness')
    probabilities = graph.node('Softmax', [graph.slice(places, 5, values, 2, 'logits')], 'probabilities', axis=2)
    return boxes, graph.node('Mul', [objectness, probabilities], 'all_scores')


def _write_suppression(graph: Graph, boxes: str, scores: str, about: Exported) -> tuple[Tensor, ...]:
    """Writes suppression: the K detections of all images in their order, best first in each."""
    of_class = graph.node('Transpose', [scores], 'scores_by_class', perm=[0, 2, 1])  # (B, C, N)
    best_only = about.nms_scope == options.ALL_CLASSES and about.nms_iou < 1
    rivals = of_class
    if best_only:  # all boxes suppress each other: of a place only its best class can be left
        rivals = graph.node('ReduceMax', [of_class], 'best_scores', axes=[1], keepdims=1)  # (B, 1, N)
    limits = [
        graph.integers('max_detections', [about.max_detections]),
        graph.floats('nms_iou', [about.nms_iou]),
        graph.floats('score_threshold', [about.score_threshold]),
    ]
    found = graph.node('NonMaxSuppression', [boxes, rivals, *limits], 'selected')  # (K, 3) image, class, place
    found = _write_order(graph, found, rivals, about.max_detections)

    images, places = (graph.slice(found, i, i + 1, 1, f'{name}_column') for i, name in ((0, 'image'), (2, 'place')))
    at = graph.node('Concat', [images, places], 'image_and_place', axis=1)
    graph.node('GatherND', [boxes, at], 'boxes')
    graph.node('GatherND', [rivals, found], 'scores')
    if best_only:
        best = graph.node('ArgMax', [of_class], 'best_classes', axis=1, keepdims=0)  # (B, N)
        graph.node('GatherND', [best, at], 'classes')
    else:
        graph.reshape(graph.slice(found, 1, 2, 1, 'class_column'), (-1,), 'classes')
    graph.reshape(images, (-1,), 'images')
    order = 'detection: by image, the best score first'
    return (
        Tensor('boxes', (None, 4), 'float32', f'{order}; {CORNERS}'),
        Tensor('scores', (None,), 'float32', f'{order}; objectness x class probability, 0..1'),
        Tensor('classes', (None,), 'int64', f'{order}; index into classes'),
        Tensor('images', (None,), 'int64', f'{order}; index of its image in the batch'),
    )


def _write_order(graph: Graph, found: str, scores: str, most: int) -> str:
    """Sorts what was selected (K, 3) by image and score, and leaves out what is over `most` an image.

    Each TopK sorts, as its k is the number of all; the keys of the second are all different, for those runtimes whose
    TopK does not keep the order of equal ones.
    """
    count = graph.slice(graph.node('Shape', [found], 'selected_shape'), 0, 1, 0, 'num_selected')
    by_score = _top(graph, graph.node('GatherND', [scores, found], 'selected_scores'), count, 'by_score')
    found = graph.node('Gather', [found, by_score], 'selected_by_score', axis=0)

    images = graph.reshape(graph.slice(found, 0, 1, 1, 'selected_images'), (-1,), 'images_by_score')
    one = graph.integers('one', 1)
    ranks = graph.node('Range', [graph.integers('first', 0), _scalar(graph, count, 'num'), one], 'ranks')
    key = graph.node('Add', [graph.node('Mul', [images, count], 'images_first'), ranks], 'key')
    order = _top(graph, key, count, 'by_image', largest=0)
    found, images = (graph.node('Gather', [each, order], f'{each}_in_order', axis=0) for each in (found, images))

    batch = graph.slice(graph.node('Shape', [scores], 'scores_shape'), 0, 1, 0, 'num_images')
    numbers = graph.node('Range', ['first', _scalar(graph, batch, 'batch_size'), one], 'image_numbers')
    numbers = graph.node('Unsqueeze', [numbers, graph.integers('last_axis', [1])], 'number_column')
    earlier = graph.node(
        'Cast', [graph.node('Less', [images, numbers], 'is_earlier')], 'earlier', to=TensorProto.INT64
    )  # (B, K)
    starts = graph.node('ReduceSum', [earlier, 'last_axis'], 'starts', keepdims=0)  # where each image begins
    position = graph.node('Sub', [ranks, graph.node('Gather', [starts, images], 'own_start', axis=0)], 'position')
    is_kept = graph.node('Less', [position, 'max_detections'], 'is_kept')
    return graph.node('Compress', [found, is_kept], 'kept', axis=0)


def _top(graph: Graph, keys: str, count: str, name: str, largest: int = 1) -> str:
    """Writes a sort; returns the indices of the keys (K,) in order."""
    graph.nodes.append(
        helper.make_node('TopK', [keys, count], [f'{name}_keys', name], name=name, axis=0, largest=largest, sorted=1)
    )
    return name


def _scalar(graph: Graph, value: str, name: str) -> str:
    return graph.node('Squeeze', [value], name)
