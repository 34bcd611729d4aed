"""The only folder that imports Airflow. Its code runs in zygotes and workers, never in the coordinator."""
