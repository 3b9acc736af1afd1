"""Which engine runs on which node and GPUs. The same code drives Ray actors and a virtual clock.

nodes            machines and their free capacity
queues           the waiting work of each engine
places           the actors that engines hold
schedule         the decisions: which actor starts, gets work, or is stopped
losses           what the loss of an actor means; its kinds are in loss_kinds
watchdog         which actors hang
loop             the loop between the schedule and a world of actors
simulated_world  a world of actors under a virtual clock, with trace_lengths
simulate         a whole run under that clock
bound            a lower bound on the time of any schedule
"""
