set -e
echo "report for $REGION in {{ dag.dag_id }}"
