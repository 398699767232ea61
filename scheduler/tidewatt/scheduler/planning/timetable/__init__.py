"""The whole queue at once: jobs, places and slots as arrays, with a proof of how good the plan is."""
