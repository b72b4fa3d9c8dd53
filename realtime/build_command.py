"""`visavis build`: compile the networks for this machine's GPU (see `build_trt.command`)."""

from build_trt.command import add_arguments, run

__all__ = ["add_arguments", "run"]
