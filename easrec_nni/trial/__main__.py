"""Program of a trial, as NNI starts it: ``python -m easrec_nni.trial``."""

from __future__ import annotations

import sys

from easrec_nni.trial.run import main

if __name__ == "__main__":
    sys.exit(main())
