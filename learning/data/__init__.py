"""What there is to learn from: data sets, where they come from, and how samples are spread over devices."""
