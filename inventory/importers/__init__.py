"""Data of other shops, read into the words of this package. One module per format."""
