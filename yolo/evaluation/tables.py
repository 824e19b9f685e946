"""Metrics as lines of text to read."""

from yolo.detection.options import GREEDY

NO_VALUE = '-'


def format_metrics(metrics: dict, compared_with: str = '') -> str:
    """All that `metrics.json` holds that fits into lines; compared_with: the path of the other evaluation."""
    place = metrics.get('checkpoint', metrics.get('detections_dir'))
    lines = [format_table(metrics), f'{metrics["num_images"]} images of {metrics["split"]}, {place}']
    if metrics.get('num_images_left_out'):
        lines.append(
            f'{metrics["num_images_left_out"]} images of the list could not be preprocessed and are not counted'
        )
    if metrics.get('num_boxes_left_out'):
        lines.append(f'{metrics["num_boxes_left_out"]} boxes were left out by preprocessing and are not counted')
    if metrics.get('num_ignore_regions'):
        number = metrics['num_ignore_regions']
        lines.append(f'{number} ignore regions: detections of which half lies inside are neither right nor wrong')
    if metrics.get('num_images_at_max_detections'):
        limit = metrics['thresholds']['max_detections']
        lines.append(f'{metrics["num_images_at_max_detections"]} images reached --max_detections={limit}')
    if metrics.get('thresholds', {}).get('nms', GREEDY) != GREEDY:
        lines.append(f'boxes are means of those that they suppress: --nms={metrics["thresholds"]["nms"]}')
    if 'image_sizes' in metrics:
        lines.append(format_sizes(metrics['image_sizes']))
    if 'coco' in metrics:
        ap, ap_50, ap_75 = (format_number(metrics['coco'][name]) for name in ('ap', 'ap_50', 'ap_75'))
        lines.append(f'COCO: AP {ap}, at IoU 0.5 {ap_50}, at 0.75 {ap_75}')
    if 'compared' in metrics:
        lines += [f'against {compared_with}', format_differences(metrics['compared'])]
    return '\n'.join(lines)


def format_table(metrics: dict) -> str:
    """The APs as a table: a line a class, then the means."""
    width = max([12, *(len(name) for name in metrics['per_class'])])
    lines = [f'{"class":<{width}}  AP 11-point  AP area  objects  difficult  detections']
    for name, row in metrics['per_class'].items():
        lines.append(
            f'{name:<{width}}  {format_number(row["ap_11pt"]):>11}  {format_number(row["ap_area"]):>7}  '
            f'{row["num_objects"]:>7}  {row["num_difficult"]:>9}  {row["num_detections"]:>10}'
        )
    map_11pt, map_area = format_number(metrics['map_11pt']), format_number(metrics['map_area'])
    return '\n'.join([*lines, f'{"mAP":<{width}}  {map_11pt:>11}  {map_area:>7}'])


def format_sizes(sizes: dict[str, dict]) -> str:
    """Accuracy and speed by size of the images: a line a size."""
    return '\n'.join(
        f'{name:>10} pixels  mAP {format_number(row["map_11pt"])} (11-point) {format_number(row["map_area"])} (area)  '
        f'{row["ms_per_image"]:8.2f} ms an image  {1000 / row["ms_per_image"]:7.1f} images/s'
        for name, row in sizes.items()
    )


def format_differences(rows: dict[str, dict | None]) -> str:
    """What `summary.compare` gives as a table: a line a class, then the mean."""
    width = max([12, *(len(name) for name in rows)])
    lines = [f'{"class":<{width}}  difference  95 % of samples       real']
    for name, row in rows.items():
        if row is None:
            lines.append(f'{name:<{width}}           {NO_VALUE}')
            continue
        interval = f'{row["low"]:>+.4f} to {row["high"]:>+.4f}'
        lines.append(f'{name:<{width}}  {row["difference"]:>+10.4f}  {interval}    {"yes" if row["real"] else "no"}')
    return '\n'.join(lines)


def format_number(value: float | None) -> str:
    """A number of a table."""
    return NO_VALUE if value is None else f'{value:.4f}'
