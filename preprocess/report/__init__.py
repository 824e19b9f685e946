"""What a conversion reports: on screen, as a page, as a sheet of pictures."""
