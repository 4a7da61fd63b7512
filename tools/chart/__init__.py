"""What of the chart is made from elsewhere: its schema of settings, its table of values, its rendered examples."""
