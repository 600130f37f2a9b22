"""Vision towers, which make rows of a prompt of images, and what a checkpoint says of them."""
