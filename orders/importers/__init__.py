"""Files of other systems, read into the words of this shop. One module per format; what is done with them is history.py's."""
