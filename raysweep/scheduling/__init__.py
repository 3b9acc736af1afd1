"""Which engine runs where, and on what: the same code over Ray actors and under a virtual clock.

nodes       machines and what is free on them
queues      the waiting work of each engine
places      the actors that engines hold
schedule    the decisions: who starts, who is fed, who is given back
loop        decisions to actions, actions to events; what a world of actors is
simulation  a world under a virtual clock
bound       what no schedule can beat
"""
