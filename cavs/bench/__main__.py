"""``python -m cavs.bench SPEC RESULT``: a measuring process, started by ``cavs bench``."""

import sys

from cavs.bench.worker import work

sys.exit(work(sys.argv[1], sys.argv[2]))
