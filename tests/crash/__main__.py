"""`python -m tests.crash --rounds 300 --seed 7`: see harness.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crash.harness import main

sys.exit(main())
