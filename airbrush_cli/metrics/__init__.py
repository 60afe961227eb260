"""How alike two pictures are: `fidelity` counts pixels (PSNR, SSIM), `perception` judges as people do (LPIPS)."""

from airbrush_cli.lpips_weights import MissingWeights
from airbrush_cli.metrics.fidelity import psnr, ssim
from airbrush_cli.metrics.perception import Lpips, LpipsTarget

__all__ = ["Lpips", "LpipsTarget", "MissingWeights", "psnr", "ssim"]
