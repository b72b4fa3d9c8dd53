import sys

from build_trt.command import main

sys.exit(main())
