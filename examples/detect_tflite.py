"""Detects objects in a photo, by LiteRT: python detect_tflite.py model.tflite photo.jpg --out=drawn.png"""

import argparse
import json

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter


def detect(model_path, photo_path):
    """The detections, best first: label, score, box (xmin, ymin, xmax, ymax) in pixels of the upright photo."""
    with open(f'{model_path}.json', encoding='utf-8') as file:
        about = json.load(file)
    photo = cv2.imread(photo_path)  # (h, w, 3) BGR 0..255, turned as its EXIF orientation says
    if photo is None:
        raise SystemExit(f'{photo_path}: no such file, or not an image')
    photo = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY if about.get('channels') == 1 else cv2.COLOR_BGR2RGB)
    # The network's image: all of it is the photo, or the photo keeps its aspect between grey bars.
    (height, width), (h, w) = about['image_size'], photo.shape[:2]
    inner_width, inner_height = width, height
    if about['resize'] == 'letterbox':
        inner_width = max(min(width, w * height // h), 1)
        inner_height = max(min(height, h * width // w), 1)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    image = np.full((height, width, *photo.shape[2:]), 127, np.uint8)
    image[top : top + inner_height, left : left + inner_width] = cv2.resize(photo, (inner_width, inner_height))
    # Of N boxes with the scores of C classes, K pairs score enough; those that a better one overlaps are left out.
    boxes, scores = forward(model_path, image.reshape(height, width, -1), about)
    places, classes = np.nonzero(scores > about['score_threshold'])
    boxes, scores = boxes[places].astype(float), scores[places, classes]
    rectangles = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], -1)  # (K, 4) left, top, width, height
    if about['nms_scope'] == 'per_class':
        rectangles[:, 0] += 1e4 * classes  # side by side, where classes do not overlap each other
    kept = list(cv2.dnn.NMSBoxes(rectangles.tolist(), scores, 0.0, about['nms_iou'])[: about['max_detections']])
    in_photo = (boxes[kept] * ([width, height] * 2) - [left, top] * 2) / ([inner_width, inner_height] * 2)
    more = [0, 0, 1, 1] if about.get('box_convention') == 'darknet' else [0] * 4  # Darknet's boxes end a pixel early
    pixels = (in_photo * ([w, h] * 2) + more).clip(0, [w, h] * 2).tolist()
    return [(about['classes'][classes[i]], float(scores[i]), tuple(box)) for i, box in zip(kept, pixels, strict=True)]


def forward(model_path, image, about):
    """Boxes (N, 4) xmin, ymin, xmax, ymax relative to the image and scores (N, C); image (H, W, C) 0..255."""
    tensor, image = about['inputs'][0], image[None] / np.float32(255)  # (1, H, W, C) 0..1
    if tensor['scale'] is not None:  # integers, of which each stands for scale x (integer - zero_point)
        limits = np.iinfo(tensor['dtype'])
        image = np.round(image / tensor['scale'] + tensor['zero_point']).clip(limits.min, limits.max)
    images = image.astype(tensor['dtype']).repeat(about['batch_size'], 0)
    values = Interpreter(model_path).get_signature_runner()(image=images)
    units = {output['name']: (output['scale'] or 1, output['zero_point'] or 0) for output in about['outputs']}
    outputs = {name: scale * (values[name].astype(np.float32) - zero) for name, (scale, zero) in units.items()}
    if about['output'] == 'raw':
        return decode(outputs['raw'][0].reshape(*outputs['raw'].shape[1:3], len(about['anchors']), -1), about)
    return outputs['boxes'][0], outputs['scores'][0]


def decode(raw, about):
    """Boxes (N, 4) and scores (N, C) of raw (GH, GW, A, 5 + C): t_x, t_y, t_w, t_h, t_o, class logits; N = GH GW A."""
    rows, columns, _, values = raw.shape
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)[:, :, None]  # (GH, GW, 1, 2) x, y
    sigmoids, powers = 1 / (1 + np.exp(-raw)), np.exp(raw[..., 5:] - raw[..., 5:].max(-1, keepdims=True))
    centres = (sigmoids[..., :2] + cells) / (columns, rows)
    halves = np.exp(raw[..., 2:4].clip(None, 16)) * about['anchors'] / (columns, rows) / 2  # anchors (A, 2)
    scores = sigmoids[..., 4:5] * powers / powers.sum(-1, keepdims=True)  # objectness x class probability
    return np.concatenate([centres - halves, centres + halves], -1).reshape(-1, 4), scores.reshape(-1, values - 5)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('model', 'photo', '--out'):
        parser.add_argument(name)
    options = parser.parse_args()
    drawn = np.array(cv2.imread(options.photo))
    for label, score, box in detect(options.model, options.photo):
        print(f'{label} {score:.4f}', *(f'{side:.1f}' for side in box))
        x, y, right, bottom = map(round, box)
        cv2.rectangle(drawn, (x, y), (right, bottom), (0, 255, 0), 2)
        cv2.putText(drawn, f'{label} {score:.2f}', (x, y + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 255))
    if options.out:
        cv2.imwrite(options.out, drawn)
