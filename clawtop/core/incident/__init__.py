"""The incident as it is shown: who blocks whom, lanes, timeline, notices."""
