"""The fleet, `scripts/fleet_sim`: what happens when 10 to 10,000 machines start cold at once, simulated."""
