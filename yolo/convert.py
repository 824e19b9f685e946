"""`python -m yolo.convert`: the older name of `python -m yolo convert`."""

import sys

from yolo.__main__ import main

if __name__ == '__main__':
    main([sys.argv[0], 'convert', *sys.argv[1:]])
