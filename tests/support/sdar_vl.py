"""The golden SDAR-VL with its images and the answers of its reference."""

from tests.support.golden_images import GoldenImages
from unmask.image_fits import Tiles
from unmask.images import ImageTraits

TILES = Tiles(20, 3, tuple((20 * h, 20 * w) for h in range(1, 5) for w in range(1, 5)), 9)
TRAITS = ImageTraits(505, (), (), TILES, sees_itself=False)
MODEL = GoldenImages("sdar_vl", TRAITS)
