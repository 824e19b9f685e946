"""`python -m yolo.predict`: the older name of `python -m yolo predict`."""

import sys

from yolo.__main__ import main

if __name__ == '__main__':
    main([sys.argv[0], 'predict', *sys.argv[1:]])
