"""What a team's package with functions looks like; in tests its directory stands on the path of the services."""
