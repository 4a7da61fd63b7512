"""The services of Skewless. Each is a package with the same rooms; see CONTRIBUTING.md."""
