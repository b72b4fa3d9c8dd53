"""What runs: streaming networks, motion and rendering, and the avatars and weights that ship. No PyTorch in here."""

import cv2

cv2.setNumThreads(1)  # sessions spread over the cores; one frame of one session stays on its own
