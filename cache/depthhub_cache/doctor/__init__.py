"""What works where a cache lies: experiments, facts, and what follows from them for locks and mapping."""
