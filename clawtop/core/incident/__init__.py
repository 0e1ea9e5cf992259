"""The views of an incident: who blocks whom, lanes, timeline, notices."""
