"""The Textual screens. Thin: they show what view/ made and pass commands on."""
