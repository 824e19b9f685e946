"""pycocotools' COCOeval with objects that COCO's own `ignore` flag ignores; to be imported where it is needed alone."""

from pycocotools.cocoeval import COCOeval


class Evaluator(COCOeval):
    """COCOeval in which an annotation may be ignored without being a crowd (`"ignore": 1, "iscrowd": 0`).

    COCOeval's matching knows such objects: by IoU, as any other, and only for detections that match no object that
    counts. But its `_prepare` overwrites the flag with `iscrowd`, so it is set again here. And what is no crowd is
    matched once, so that a second detection of an ignored object would be a false positive. The devkit excuses all
    detections of a difficult object: an ignored one is matched as often as a crowd here. All else is COCOeval's.
    """

    def _prepare(self) -> None:
        ignored = [annotation for annotation in self.cocoGt.dataset['annotations'] if annotation.get('ignore')]
        super()._prepare()
        for annotation in ignored:
            annotation['ignore'] = 1

    def evaluateImg(self, image, k, area, most):  # noqa: N802
        """COCOeval's matches of an image and a class; the overlaps are known, so `iscrowd` only means "again" here."""
        annotations = self._gts[image, k]
        is_crowd = [annotation['iscrowd'] for annotation in annotations]
        for annotation in annotations:
            annotation['iscrowd'] = annotation['ignore']
        found = super().evaluateImg(image, k, area, most)
        for annotation, given in zip(annotations, is_crowd, strict=True):
            annotation['iscrowd'] = given
        return found
