"""Operators of a deployment, shared by its DAGs."""

from airflow.sdk import BaseOperator


class Greet(BaseOperator):
    template_fields = ("name",)

    def __init__(self, *, name, **kwargs):
        super().__init__(**kwargs)
        self.name = name

    def execute(self, context):
        return f"{self.greeting()}, {self.name}!"

    def greeting(self):
        return "Hello"


class GreetFormally(Greet):
    def greeting(self):
        return "Good day"
