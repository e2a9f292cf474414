"""Stage `reduce`: project one matrix onto fewer dimensions, fitted on its train rows."""
