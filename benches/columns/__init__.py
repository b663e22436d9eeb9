"""Records of a large store as columns, beside what one would write without TiraStore."""
