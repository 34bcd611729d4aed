WITH gone AS (
    DELETE FROM runs WHERE dag_id = $1 AND run_id = $2 RETURNING run
), consumption AS (
    DELETE FROM asset_consumption WHERE dag_id = $1 AND run_id = $2
), entries AS (
    DELETE FROM records USING gone WHERE records.run = gone.run
)
SELECT count(*) FROM gone
