"""One thread for every test: the tensors are small, and more threads than free cores are ruinous."""

import torch

torch.set_num_threads(1)
