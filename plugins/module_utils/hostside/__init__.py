"""What runs on a host: plain Python from 3.9 on, the standard library alone, no Ansible.

Each module has a `main(spec) -> result` or serves those that do; both are JSON objects. `plugin_utils/hostcall.py`
sends
these sources to a host and runs one `main` there, in one round trip.
"""
