"""The training step of yolov2 and yolov2-tiny in PyTorch, by hand; `torch_step.py` starts it and asks for steps.

  python benchmarks/torch_twin.py DATA.npz --model=yolov2 --threads=2

It imports nothing of this project, so that any interpreter that has PyTorch can run it. DATA.npz holds the batch
(`image` uint8 (B, H, W, 3), `boxes`, `labels`, `places`), `anchors`, and the convolutions' first weights `0`, `1`, ...
(height, width, inputs, filters). It reads names of VARIANTS from the standard input, one a line, takes a step in that
one, and answers with a line of JSON: the loss, and the seconds that the step took by the clock and on the processor.
"""

import argparse
import json
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

VARIANTS = {  # compiled, channels last
    'eager': (False, False),
    'compiled': (True, False),
    'eager channels_last': (False, True),
    'compiled channels_last': (True, True),
}
RATE, MOMENTUM, WEIGHT_DECAY = 1e-5, 0.9, 5e-4


def convolution(inputs: int, filters: int, size: int) -> nn.Sequential:
    """A convolution without bias, batch norm with Darknet's momentum, and leaky ReLU."""
    norm = nn.BatchNorm2d(filters, eps=1e-12, momentum=0.01)
    return nn.Sequential(nn.Conv2d(inputs, filters, size, padding=size // 2, bias=False), norm, nn.LeakyReLU(0.1, True))


def convolutions(inputs: int, *layers: int | str) -> nn.Sequential:
    """Layers in order: filters of 3 x 3, -filters of 1 x 1, 'pool' of stride 2, 'pool of stride 1'."""
    modules: list[nn.Module] = []
    for layer in layers:
        if layer == 'pool':
            modules.append(nn.MaxPool2d(2, 2))
        elif layer == 'pool of stride 1':
            modules += [nn.ConstantPad2d((0, 1, 0, 1), float('-inf')), nn.MaxPool2d(2, 1)]
        else:
            filters = abs(int(layer))
            modules.append(convolution(inputs, filters, 3 if filters == layer else 1))
            inputs = filters
    return nn.Sequential(*modules)


def reorg(x):
    """Darknet's reorg of stride 2: (B, C, H, W) -> (B, 4 C, H / 2, W / 2), in its order of channels."""
    batch, channels, height, width = x.shape
    parts = x.reshape(batch, channels // 4, height, 2, width, 2).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(batch, channels * 4, height // 2, width // 2)


class YOLOv2(nn.Module):
    """Darknet-19 with passthrough."""

    def __init__(self, outputs: int):
        super().__init__()
        self.fine = convolutions(
            3, 32, 'pool', 64, 'pool', 128, -64, 128, 'pool', 256, -128, 256, 'pool', 512, -256, 512, -256, 512
        )
        self.coarse = convolutions(512, 'pool', 1024, -512, 1024, -512, 1024, 1024, 1024)
        self.passthrough = convolution(512, 64, 1)
        self.head = nn.Sequential(convolution(1280, 1024, 3), nn.Conv2d(1024, outputs, 1))

    def forward(self, x):
        """Images (B, 3, H, W) 0..1 -> (B, A (5 + C), H / 32, W / 32)."""
        fine = self.fine(x)
        return self.head(torch.cat([reorg(self.passthrough(fine)), self.coarse(fine)], 1))


def yolov2_tiny(outputs: int) -> nn.Sequential:
    """The network of yolov2-tiny-voc.cfg."""
    body = convolutions(
        3, 16, 'pool', 32, 'pool', 64, 'pool', 128, 'pool', 256, 'pool', 512, 'pool of stride 1', 1024, 1024
    )
    return nn.Sequential(body, nn.Conv2d(1024, outputs, 1))


NETWORKS = {'yolov2': YOLOv2, 'yolov2-tiny': yolov2_tiny}


class RegionLoss(nn.Module):
    """Darknet's region loss, summed over the batch and divided by its size, for a batch that stays the same."""

    def __init__(self, data, grid: int):
        super().__init__()
        boxes, labels, places = (torch.from_numpy(data[name]) for name in ('boxes', 'labels', 'places'))
        anchors, objects = torch.from_numpy(data['anchors']), boxes * grid
        shape = (len(boxes), grid, grid, len(anchors))
        owner = torch.full(shape, -1)  # the object that each prediction is responsible for
        for image, rows in enumerate(places.tolist()):
            for number, (row, column, anchor) in enumerate(rows):
                if row >= 0:
                    owner[image, row, column, anchor] = number
        index = owner.clamp(min=0).reshape(len(boxes), -1)
        own = objects.gather(1, index[..., None].expand(-1, -1, 4)).reshape(*shape, 4)
        y, x = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing='ij')
        cells = torch.stack([x, y], -1)[:, :, None].float()
        responsible = (owner >= 0)[..., None]
        size = own[..., 2:] - own[..., :2]
        buffers = {
            'objects': objects[:, None, None, None],
            'own': own,
            'responsible': responsible[..., 0],
            'xy': (own[..., :2] + own[..., 2:]) / 2 - cells,
            'wh': torch.log(torch.where(responsible, size / anchors, 1.0)),
            'box_weight': torch.where(responsible[..., 0], 2 - size.prod(-1) / grid**2, 0.0),
            'label': labels.gather(1, index).reshape(shape).long(),
            'cells': cells,
            'anchors': anchors,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, output):
        """output (B, A (5 + C), GH, GW) -> the loss."""
        batch, _, height, width = output.shape
        raw = output.permute(0, 2, 3, 1).reshape(batch, height, width, len(self.anchors), -1)
        xy, wh, objectness = raw[..., :2].sigmoid(), raw[..., 2:4], raw[..., 4].sigmoid()
        with torch.no_grad():
            centre, half = xy + self.cells, wh.exp() * self.anchors / 2
            predicted = torch.cat([centre - half, centre + half], -1)
            own_iou = iou(predicted, self.own)
            best_iou = iou(predicted[..., None, :], self.objects).amax(-1)
            target = torch.where(self.responsible, own_iou, 0.0)
            weight = torch.where(self.responsible, 5.0, torch.where(best_iou > 0.6, 0.0, 1.0))
        box = (self.box_weight * ((xy - self.xy).square().sum(-1) + (wh - self.wh).square().sum(-1))).sum() / 2
        entropy = functional.cross_entropy(raw[..., 5:].flatten(0, 3), self.label.flatten(), reduction='none')
        entropy = (entropy.reshape(self.label.shape) * self.responsible).sum()
        return (box + (weight * (objectness - target).square()).sum() / 2 + entropy) / batch


def iou(a, b):
    """Intersection over union of corners (..., 4)."""
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    common = sides.prod(-1)
    return common / (areas - common).clamp(min=1e-9)


def make_step(data, name: str, compiled: bool, channels_last: bool):
    """A function that takes a step and returns the loss."""
    images = torch.from_numpy(data['image']).permute(0, 3, 1, 2).contiguous()
    outputs = data[str(sum(key.isdigit() for key in data.files) - 1)].shape[-1]
    network, loss_of = NETWORKS[name](outputs), RegionLoss(data, images.shape[2] // 32)
    kernels = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        for number, kernel in enumerate(kernels):
            kernel.copy_(torch.from_numpy(data[str(number)]).permute(3, 2, 0, 1))
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias.zero_()
    if channels_last:
        network, images = (each.to(memory_format=torch.channels_last) for each in (network, images))
    decayed = {id(kernel) for kernel in kernels}
    others = [weight for weight in network.parameters() if id(weight) not in decayed]
    groups = [{'params': kernels, 'weight_decay': WEIGHT_DECAY}, {'params': others}]
    optimizer = torch.optim.SGD(groups, RATE, MOMENTUM, fused=True)

    def forward(images):
        return loss_of(network(images.float() / 255))

    forward = torch.compile(forward) if compiled else forward

    def step() -> float:
        optimizer.zero_grad()
        loss = forward(images)
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def main() -> None:
    """Takes the steps that it is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument('data')
    parser.add_argument('--model', choices=list(NETWORKS))
    parser.add_argument('--threads', type=int)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data, steps = np.load(options.data), {}
    for line in sys.stdin:
        variant = line.strip()
        if variant not in steps:
            steps[variant] = make_step(data, options.model, *VARIANTS[variant])
        clock, processor = time.perf_counter(), time.process_time()
        loss = steps[variant]()
        times = {'seconds': time.perf_counter() - clock, 'cpu_seconds': time.process_time() - processor}
        print(json.dumps({'loss': loss, **times}), flush=True)


if __name__ == '__main__':
    main()
