"""Words and figures for people, Chinese and English."""
