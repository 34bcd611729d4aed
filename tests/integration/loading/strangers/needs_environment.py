from airflow.sdk import dag, task


@dag(schedule=None, params={"text": "x"})
def virtualenv():
    @task.virtualenv(requirements=["text-unidecode==1.3"], system_site_packages=False)
    def transliterate(text):
        from text_unidecode import unidecode

        return unidecode(text)

    return transliterate("{{ params.text }}")


virtualenv()


@dag(schedule=None)
def impossible_virtualenv():
    @task.virtualenv(requirements=["text-unidecode==99.99"], system_site_packages=False)
    def never():
        return 1

    return never()


impossible_virtualenv()
