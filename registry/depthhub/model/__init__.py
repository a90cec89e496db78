"""The DPT in readable parts. Imports torch and nothing else of ours; `config` is plain data without torch."""
