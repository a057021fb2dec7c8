"""The parts of `remit.testing.assistants_server`, an OpenAI Assistants v2 server for tests.

`wire` speaks HTTP, `routes` finds the operation, `bodies` checks what it is given.
`thread_operations`, `run_operations` and `file_operations` are the operations over one `store`.
`runs` is the state machine of a run, `turns` asks the model, `feed` carries events to streams.
"""
