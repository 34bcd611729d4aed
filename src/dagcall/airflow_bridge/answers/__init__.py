"""Answers to the Task SDK's messages, by what they are about. Each module has its `HANDLERS`, by type of message.

What stock Airflow would answer from its metadata database and dagcall does not have is refused with a sentence, never
answered wrongly. Source of messages and answers: airflow/sdk/execution_time/{comms,request_handlers,supervisor}.py
and airflow/api_fastapi/execution_api/routes of Airflow 3.3.
"""
